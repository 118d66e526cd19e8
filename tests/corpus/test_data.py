"""load_docs: what becomes a document, and every error in a file."""

import bz2
import errno
import gzip
import hashlib
import http.server
import io
import lzma
import os
import sys
import threading
import time
import types
import urllib.error
import warnings
from pathlib import Path

import pytest
from command_line import fail, microgpt_command, succeed

from microgpt.common.files import write_atomically
from microgpt.corpus import datasets
from microgpt.corpus import loading as data
from microgpt.corpus.loading import DataError, DataWarning, load_docs

NAMES = b"emma\nolivia\nava"


@pytest.fixture
def write(tmp_path):
    def write(content, name="docs.txt"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
        return path

    return write


# ---- What becomes a document ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content, docs",
    [
        ("emma\nolivia\nava", ["emma", "olivia", "ava"]),
        ("emma\nolivia\n", ["emma", "olivia"]),
        ("\n\n  emma \t\n\n \nmary ann\n\n", ["emma", "mary ann"]),
        ("emma\r\nolivia\r\n", ["emma", "olivia"]),
        ("emma\rolivia\r", ["emma", "olivia"]),
        ("b\na\nb", ["b", "a", "b"]),
        ("a\x0bb\x0cc\u2028d\x85e", ["a\x0bb\x0cc\u2028d\x85e"]),  # only the line endings of open() end lines
        ("\u3000김민준\u3000\nज़ोया\nЁлка\n😀", ["김민준", "ज़ोया", "Ёлка", "😀"]),
    ],
)
def test_documents_are_those_of_the_reference(write, content, docs):
    path = write(content)
    with open(path, encoding="utf-8") as file:
        assert docs == [line.strip() for line in file.read().strip().split("\n") if line.strip()]
    assert load_docs(path) == docs
    assert load_docs(str(path)) == docs


def test_a_million_lines(write):
    path = write("".join(f"naïve {i}\n" for i in range(1_000_000)))
    started = time.perf_counter()
    docs = load_docs(path)
    assert time.perf_counter() - started < 5  # about 0.2 s; a bound for slow machines
    assert len(docs) == 1_000_000 and docs[-1] == "naïve 999999"


def test_a_byte_order_mark_is_dropped_and_said_so(write):
    path = write(b"\xef\xbb\xbfemma\nava")
    with pytest.warns(DataWarning, match=r"docs\.txt' begins with a byte order mark.*removed") as caught:
        assert load_docs(path) == ["emma", "ava"]
    assert [Path(warning.filename).name for warning in caught] == ["test_data.py"]  # the warning points to the caller


def test_a_byte_order_mark_inside_is_kept_and_said_so(write):
    path = write("emma\r\nnina\n\ufeffava\nia\ufeffn")
    with pytest.warns(DataWarning, match=r"docs\.txt' has a byte order mark \(U\+FEFF\) inside, in line 3, .*; remove it if "):
        assert load_docs(path) == ["emma", "nina", "\ufeffava", "ia\ufeffn"]


def test_standard_input(monkeypatch):
    monkeypatch.setattr(sys, "stdin", types.SimpleNamespace(buffer=io.BytesIO("né\r\nzoë".encode())))
    assert load_docs("-") == ["né", "zoë"]
    monkeypatch.setattr(sys, "stdin", io.StringIO("né\nzoë"))
    assert load_docs("-") == ["né", "zoë"]
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    with pytest.raises(DataError, match="^standard input is empty"):
        load_docs("-")
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(DataError, match="standard input is closed; give a file"):
        load_docs("-")


def test_without_a_source_input_txt_comes_before_names(write, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MICROGPT_NAMES", str(write("from names", "elsewhere.txt")))
    assert load_docs() == ["from names"]
    write("from input", "input.txt")
    assert load_docs() == ["from input"]
    assert load_docs("names") == ["from names"]
    write("a file of that name", "names")
    assert load_docs("names") == ["from names"]
    assert load_docs("./names") == load_docs(Path("names")) == ["a file of that name"]


# ---- Errors in files ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content, message",
    [
        (b"", "is empty; give a text file"),
        (b"\n \r\n\t\n", "holds only blank lines; give a text file"),
        (
            "emma\nzoé\nnoël".encode("latin-1"),
            r"is not UTF-8: byte 0xe9 at offset 7, line 2; .* likely latin-1: .*iconv -f latin1 -t utf-8 \S*docs.txt",
        ),
        (
            "emma\r\nava’s zoé".encode("cp1252"),
            r"byte 0x92 at offset 9, line 2; .*cp1252 \(Windows\).*iconv -f cp1252 ",
        ),
        ("김민준\n이서연".encode("euc-kr"), r"is not UTF-8: .*iconv -f ENCODING -t utf-8"),
        ("emma\nava".encode("utf-16"), "is not UTF-8 but UTF-16; give encoding=.utf-16., or convert it with: iconv -f utf-16 -t utf-8 "),
        ("emma\nava".encode("utf-32"), "is not UTF-8 but UTF-32; .*iconv -f utf-32 "),
        ("emma\nava".encode("utf-16-le"), "looks like UTF-16LE; .*iconv -f utf-16le "),
        ("emma\nava".encode("utf-16-be"), "looks like UTF-16BE; .*iconv -f utf-16be "),
        (gzip.compress(b"emma", mtime=0)[:-4], "is compressed by gzip and damaged"),
        (bz2.compress(b"emma"), "is not a text file but compressed by bzip2; unpack it with: bunzip2 -k "),
        (lzma.compress(b"emma"), "is not a text file but compressed by xz; unpack it with: unxz -k "),
        (b"emma\nav\x00a", "is not a text file: it has a NUL byte at offset 7, line 2"),
        (b"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\xff\xfe", "is not a text file"),
        ("emma\na\ud800".encode("utf-8", "surrogatepass"), "byte 0xed at offset 6, line 2 begins a surrogate, .*; write the text again"),
        ("emma\n김민".encode()[:-1], "offset 8, line 2 begins a character that the end cuts off; "),
        ("김민준\n".encode() * 9 + b"\xff\n", "byte 0xff at offset 90, line 10, although most of the rest is; "),
        (b"\xef\xbb\xbfzo\xe9", "byte 0xe9 at offset 5, line 1"),
    ],
)
def test_bytes_that_are_no_text(write, content, message):
    with pytest.raises(DataError, match=message) as caught:
        load_docs(write(content))
    assert str(caught.value).startswith("'") and "docs.txt' " in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_converts_a_file_is_quoted_for_the_shell(write):
    with pytest.raises(DataError, match=r"-t utf-8 '\S*it'\"'\"'s mine.txt' > utf8.txt"):
        load_docs(write(b"zoe zo\xe9", "it's mine.txt"))


def test_files_that_are_not_there(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match=r"^there is no file '.*nemo\.txt'; check the path$"):
        load_docs(tmp_path / "nemo.txt")
    with pytest.raises(IsADirectoryError, match="is a folder; give a text file"):
        load_docs(tmp_path)
    monkeypatch.setenv("MICROGPT_NAMES", str(tmp_path / "nemo.txt"))
    with pytest.raises(FileNotFoundError, match=r"nemo.txt' \(named by .* MICROGPT_NAMES\); correct"):
        load_docs("names")
    for other in (3, io.StringIO("emma")):
        with pytest.raises(TypeError, match="load_docs reads a path, such as 'docs.txt', not "):
            load_docs(other)


@pytest.mark.parametrize(
    "number, kind, message",
    [
        (errno.EACCES, PermissionError, "may not be read by this user"),
        (errno.EIO, OSError, "cannot be read: broken; check"),
    ],
)
def test_files_that_cannot_be_read(write, monkeypatch, number, kind, message):
    def refuse(path, mode):
        raise OSError(number, "broken", path)

    monkeypatch.setattr(data, "open", refuse, raising=False)
    with pytest.raises(kind, match=message) as caught:
        load_docs(write("emma"))
    assert caught.value.errno is None  # so the message is the whole sentence


# ---- Data sets that are downloaded ------------------------------------------------------------------------------------------


class Server(http.server.ThreadingHTTPServer):
    """Serves `payload` after calling `delay`, and counts requests."""

    daemon_threads = True
    payload, status, requests = NAMES, 200, 0

    def delay(self):
        pass


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.requests += 1
        self.server.delay()
        try:
            self.send_response(self.server.status)
            self.end_headers()
            self.wfile.write(self.server.payload)
        except OSError:
            pass  # the client did not wait

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    """A local server that replaces the real address and should serve NAMES."""
    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        here = dict(url=f"http://127.0.0.1:{server.server_port}/", size=len(NAMES), sha256=hashlib.sha256(NAMES).hexdigest())
        for name, known in datasets.KNOWN.items():
            monkeypatch.setitem(datasets.KNOWN, name, known._replace(**here))
        monkeypatch.setenv("no_proxy", "*")
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def cache(monkeypatch, tmp_path):
    """The path of the cached copy, in a fresh cache folder; and no MICROGPT_NAMES or MICROGPT_SHAKESPEARE."""
    import platformdirs

    folder = tmp_path / "cache"
    monkeypatch.setattr(platformdirs, "user_cache_dir", lambda *_: str(folder))
    for known in datasets.KNOWN.values():
        monkeypatch.delenv(known.variable, raising=False)
    return folder / "names.txt"


def test_names_are_downloaded_once(server, cache):
    assert load_docs("names") == ["emma", "olivia", "ava"]
    assert cache.read_bytes() == NAMES
    assert os.listdir(cache.parent) == ["names.txt"]  # no temporary file is left
    assert load_docs("names") == ["emma", "olivia", "ava"]
    assert server.requests == 1


def test_a_damaged_cached_copy_is_replaced_and_said_so(server, cache):
    cache.parent.mkdir()
    cache.write_bytes(b"emma\nolivia\nmax")
    with pytest.warns(DataWarning, match=r"names\.txt' is not the names.txt it should be \(wrong checksum\)"):
        assert load_docs("names") == ["emma", "olivia", "ava"]
    assert cache.read_bytes() == NAMES


def test_names_that_cannot_be_kept_are_used(server, cache):
    cache.parent.write_bytes(b"a file where the folder should be")
    with pytest.warns(DataWarning) as caught:
        assert load_docs("names") == ["emma", "olivia", "ava"]
    assert any("could not be kept in" in str(warning.message) for warning in caught)


def test_a_failed_write_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))
    with pytest.raises(OSError, match="full"):
        write_atomically(str(tmp_path / "names.txt"), NAMES)
    assert os.listdir(tmp_path) == []


@pytest.fixture
def builtin(monkeypatch, tmp_path):
    """A package folder with a built-in list of two names, for the tests below."""
    import importlib.resources

    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "names.txt").write_text("built\nin\n", encoding="utf-8")
    monkeypatch.setattr(importlib.resources, "files", lambda package: tmp_path / "package")


def wrong(server):
    server.payload = b"emma\nolivia\nmax"


def short(server):
    server.payload = NAMES[:-1]


def endless(server):
    server.payload = NAMES * 100


def missing(server):
    server.status = 404


@pytest.mark.parametrize(
    "fault, message",
    [(wrong, "wrong checksum"), (short, "wrong checksum"), (endless, "wrong checksum"), (missing, "Not Found")],
)
def test_a_download_that_fails_is_replaced_by_the_built_in_list(server, cache, builtin, fault, message):
    fault(server)
    with pytest.warns(DataWarning, match=rf"could not be downloaded \(.*{message}\): .*built-in list.*MICROGPT_NAMES"):
        assert load_docs("names") == ["built", "in"]
    assert not cache.exists()


def test_offline(cache, builtin, monkeypatch):
    def refuse(*_, **__):
        raise urllib.error.URLError(OSError("no route\nto host"))

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    with pytest.warns(DataWarning, match=r"could not be downloaded \(no route to host\)"):
        assert load_docs("names") == ["built", "in"]


def test_a_server_that_does_not_answer_is_not_waited_for(server, cache, builtin, monkeypatch):
    done = threading.Event()
    server.delay = lambda: done.wait(20)
    monkeypatch.setattr(datasets, "DOWNLOAD_SECONDS", 0.2)
    started = time.perf_counter()
    with pytest.warns(DataWarning, match="could not be downloaded"):
        assert load_docs("names") == ["built", "in"]
    assert time.perf_counter() - started < 5
    done.set()


def test_a_name_server_that_does_not_answer_is_not_waited_for(cache, builtin, monkeypatch):
    done = threading.Event()
    monkeypatch.setattr("urllib.request.urlopen", lambda *_, **__: done.wait(20))  # ignores every timeout
    monkeypatch.setattr(datasets, "DOWNLOAD_SECONDS", 0.1)
    with pytest.warns(DataWarning, match=r"\(no answer within 0.1 seconds\)"):
        assert load_docs("names") == ["built", "in"]
    done.set()


def test_shakespeare_is_downloaded_once_or_not_there(server, cache, monkeypatch, tmp_path):
    """Like the names, but the package has no built-in copy."""
    for _ in range(2):
        assert load_docs("shakespeare") == ["emma", "olivia", "ava"]
    assert server.requests == 1 and os.listdir(cache.parent) == ["shakespeare.txt"]
    (cache.parent / "shakespeare.txt").unlink()
    server.status = 404
    message = r"shakespeare.txt could not be downloaded \(Not Found\); get it from http.*, or name it by .* MICROGPT_SHAKESPEARE$"
    with pytest.raises(DataError, match=message):
        load_docs("shakespeare")
    (tmp_path / "copy.txt").write_text("To be", encoding="utf-8")
    monkeypatch.setenv("MICROGPT_SHAKESPEARE", str(tmp_path / "copy.txt"))
    assert load_docs("shakespeare") == ["To be"] and data.file_of("shakespeare") == str(tmp_path / "copy.txt")


@pytest.mark.parametrize("name, num_docs", [("names", 32033), ("shakespeare", 32777)])
def test_the_checksum_is_that_of_the_real_data_set(name, num_docs):
    known = datasets.KNOWN[name]
    path = os.environ.get(known.variable)
    if not path:
        pytest.skip(f"{known.variable} does not name a copy of {known.file}")
    assert known.is_genuine(Path(path).read_bytes())
    assert len(load_docs(name)) == num_docs


def test_the_built_in_list_is_part_of_the_package(cache, monkeypatch):
    monkeypatch.setattr(datasets, "_download", lambda *_: (None, "no network"))
    with pytest.warns(DataWarning, match="built-in list"):
        docs = load_docs("names")
    assert len(docs) > 1000
    assert all(doc.isascii() and doc.isalpha() and doc.islower() for doc in docs)
    assert len(set(docs)) == len(docs)


def test_no_warning_where_nothing_is_wrong(write):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        load_docs(write("emma"))
    assert caught == []


def test_data_warnings_are_user_warnings():
    assert issubclass(DataWarning, UserWarning)


# ---- Other kinds of data ------------------------------------------------------------------------------------------


def test_other_encodings(write):
    docs = ["zoé", "noël"]
    for encoding in ("latin-1", "utf-16", "UTF-8"):
        assert load_docs(write("\r\n".join(docs).encode(encoding)), encoding=encoding) == docs
    with pytest.raises(DataError, match="there is no encoding 'latin-99'; use for example"):
        load_docs(write(b"emma"), encoding="latin-99")
    with pytest.raises(DataError, match="there is no encoding 'rot13'"):
        load_docs(write(b"emma"), encoding="rot13")
    with pytest.raises(DataError, match="is not ascii: .* at offset 2, line 1; give another encoding"):
        load_docs(write("zoé".encode()), encoding="ascii")
    assert "give --encoding latin1, or convert it with: iconv " in fail("train", write("zoé".encode("latin-1")))
    assert "num docs: 1\n" in succeed("train", write("zoé".encode("latin-1")), "--encoding", "latin1", "--steps", 1)
    assert "--encoding" not in fail("verify", "--data", write("zoé".encode("latin-1")))


def test_what_gzip_compressed_is_read(write, cache, server):
    assert load_docs(write(gzip.compress(NAMES), "names.txt.gz")) == ["emma", "olivia", "ava"]
    server.payload = gzip.compress(NAMES)
    assert load_docs(f"http://127.0.0.1:{server.server_port}/names.gz") == ["emma", "olivia", "ava"]


def test_a_column_of_a_table(write):
    table = 'id,first name\n1,"emma, or so"\n\n2,olivia\n3,\n4\n'
    assert load_docs(write(table), column="first name") == ["emma, or so", "olivia"]
    assert load_docs(write(table), column=1) == ["id", "1", "2", "3", "4"]
    assert load_docs(write("id\tname\n1\tava, mia\n"), column="name") == ["ava, mia"]
    with pytest.raises(DataError, match="has no column 'name'; its first line has id, first name"):
        load_docs(write(table), column="name")
    with pytest.raises(DataError, match="has no column '9+...9+'"):
        load_docs(write(table), column="9" * 5000)
    with pytest.raises(DataError, match="has nothing in the column 'b'"):
        load_docs(write("a,b\n1,\n"), column="b")
    several = write('text\n"one\ntwo"\nthree\n')
    with pytest.warns(DataWarning, match="has 1 of 2 cells with several lines, which only documents 'paragraphs' keeps together"):
        assert load_docs(several, "paragraphs", column="text") == ["one\ntwo", "three"]
    assert "num docs: 2\n" in succeed("train", write(table), "--column", "first name", "--steps", 1)


@pytest.mark.parametrize(
    "text, named",
    [
        ("Name\nemma\nava\n", "Name"),
        ("id,name\n1,emma\n2,ava\n", "id"),
        ("emma\nname\nava\n", None),
        ("title, of sorts\nemma\nava\n", None),
    ],
)
def test_a_heading_is_said(write, text, named):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        load_docs(write(text))
    assert [f"column='{named}'" in str(warning.message) for warning in caught] == [True] * bool(named)
    if named:
        done = microgpt_command("inspect", write(text))
        assert f"looks like that of a table and is learned as any other; remove it, or give --column {named}" in done.stderr


def test_a_url_is_downloaded_once(server, cache, monkeypatch):
    url = f"http://127.0.0.1:{server.server_port}/three.txt"
    assert load_docs(url) == ["emma", "olivia", "ava"]
    with pytest.warns(DataWarning, match="three.txt was downloaded before; remove '.*' to get it again"):
        assert load_docs(url) == ["emma", "olivia", "ava"]
    assert server.requests == 1
    monkeypatch.setattr(datasets, "URL_BYTES", len(NAMES) - 1)
    with pytest.raises(DataError, match=r"other.txt' could not be downloaded \(it has more than .*; download it and give the file\); "):
        load_docs(url.replace("three", "other"))


def test_urls_that_have_no_text(server, cache):
    url = f"http://127.0.0.1:{server.server_port}/"
    server.payload = b"\n<!DOCTYPE html>\n<html>"
    with pytest.raises(DataError, match="is a web page, not a text; give the address of the text itself"):
        load_docs(url)
    server.status = 404
    with pytest.raises(DataError, match=r"could not be downloaded \(.*Not Found\); check the address"):
        load_docs(url + "x")
