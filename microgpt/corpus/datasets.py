"""Downloads, kept in the user's cache folder: data sets known by name, with checksums; and the contents of URLs."""

import os
from typing import NamedTuple

from microgpt.common.files import write_atomically
from microgpt.common.words import quoted_path, shortened, sized

DOWNLOAD_SECONDS = 5  # for the whole download: a machine without a network must not wait long for its training
URL_SECONDS, URL_BYTES = 60, 100 * 10**6  # for a URL given by the user, and its largest size


class DataSet(NamedTuple):
    """variable: the environment variable that can name a copy; builtin: whether the package includes a substitute."""

    file: str
    url: str
    size: int  # bytes
    sha256: str
    variable: str
    builtin: bool = False

    def is_genuine(self, data):
        """Whether these bytes are the file."""
        import hashlib

        return len(data) == self.size and hashlib.sha256(data).hexdigest() == self.sha256


KNOWN = {
    "names": DataSet(  # the reference's list of names
        "names.txt", "https://raw.githubusercontent.com/karpathy/makemore/988aa59/names.txt",
        228145, "0a30b5557f192f32ab962680889aac5f6fda0f4cecf40a6d0b5694f58ea8cc4d", "MICROGPT_NAMES", builtin=True,
    ),
    "shakespeare": DataSet(  # 40,000 lines of Shakespeare, on which char-rnn and nanoGPT are tried
        "shakespeare.txt", "https://raw.githubusercontent.com/karpathy/char-rnn/d1d7aa3/data/tinyshakespeare/input.txt",
        1115394, "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed", "MICROGPT_SHAKESPEARE",
    ),
}  # fmt: skip


def fetch(known, notes):
    """(bytes, path, None) of a DataSet, from the cache or downloaded into it; or (None, None, reason).

    notes: a list, to which messages for the user are appended.
    """
    import platformdirs

    cached = os.path.join(platformdirs.user_cache_dir("microgpt", False), known.file)
    try:
        with open(cached, "rb") as file:
            data = file.read()
        if known.is_genuine(data):
            return data, cached, None
        notes.append(f"the cached copy {quoted_path(cached)} is not the {known.file} it should be (wrong checksum); it is not used")
    except FileNotFoundError:
        pass
    except OSError as error:
        notes.append(f"the cached copy {quoted_path(cached)} cannot be read ({error.strerror}); it is not used")
    data, failure = _download(known.url, known.size, DOWNLOAD_SECONDS)
    if failure is None and not known.is_genuine(data):
        failure = "the download has a wrong checksum"
    if failure is not None:
        return None, None, failure
    _keep(cached, data, known.file, notes)
    return data, cached, None


def fetch_url(url, notes):
    """(bytes, None) of an http(s) address, from the cache or downloaded into it; or (None, reason)."""
    import hashlib

    import platformdirs

    name = hashlib.sha256(os.fsencode(url)).hexdigest()[:32]
    cached = os.path.join(platformdirs.user_cache_dir("microgpt", False), "urls", name)
    try:
        with open(cached, "rb") as file:
            data = file.read()
        notes.append(f"{shortened(url)} was downloaded before; remove {quoted_path(cached)} to get it again")
        return data, None
    except OSError:  # it does not exist, or cannot be used
        pass
    data, failure = _download(url, URL_BYTES, URL_SECONDS)
    if failure is None and len(data) > URL_BYTES:
        failure = f"it has more than {sized(URL_BYTES)}; download it and give the file"
    if failure is not None:
        return None, failure
    _keep(cached, data, shortened(url), notes)
    return data, None


def _keep(cached, data, what, notes):
    try:
        os.makedirs(os.path.dirname(cached), exist_ok=True)
        write_atomically(cached, data)
    except OSError as error:
        notes.append(f"{what} could not be kept in {quoted_path(cached)} ({error.strerror}) and will be downloaded again")


def _download(url, size, seconds):
    """(bytes, None), of which one more than size if there are more; or (None, reason).

    Runs in a thread, because timeouts limit neither the name look-up nor a slow stream of bytes.
    """
    import threading
    import urllib.request

    outcome = [(None, f"no answer within {seconds} seconds")]

    def download():
        try:
            with urllib.request.urlopen(url, timeout=seconds) as response:
                outcome[0] = response.read(size + 1), None
        except Exception as error:  # a broken proxy or server can raise nearly anything; all mean: no download
            reason = getattr(error, "reason", error)  # what urllib's own errors wrap
            reason = getattr(reason, "strerror", None) or str(reason) or type(error).__name__
            outcome[0] = None, shortened(" ".join(reason.split()), 100)

    thread = threading.Thread(target=download, daemon=True)
    thread.start()
    thread.join(seconds)
    return outcome[0]
