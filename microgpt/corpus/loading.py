"""Reading documents: from a file, from standard input, or a data set that is downloaded.

Documents are never repaired silently: an invalid file is an error that names the remedy. A `DataWarning` tells of every change made
without asking (a byte order mark dropped, a list of names replaced) and of what is invisible (a mark inside the text).
"""

import codecs
import os
import re
import sys

from microgpt.common.options import options_of
from microgpt.common.saying import warn
from microgpt.common.words import LONGEST_PATH, counted, quoted, quoted_path, shortened, sized
from microgpt.config import GPTConfig
from microgpt.corpus import datasets

MARKS = (  # UTF-32 first: its little-endian mark begins with that of UTF-16
    ("utf-32", codecs.BOM_UTF32_LE),
    ("utf-32", codecs.BOM_UTF32_BE),
    ("utf-16", codecs.BOM_UTF16_LE),
    ("utf-16", codecs.BOM_UTF16_BE),
)


PACKED = {  # pattern at the beginning of a file -> the program that compressed it, and the command that unpacks it; gzip's are read
    rb"BZh[1-9]1AY&SY": ("bzip2", "bunzip2 -k"),
    rb"\xfd7zXZ\x00": ("xz", "unxz -k"),
    rb"PK\x03\x04": ("zip", "unzip"),
}


class DataError(ValueError):
    """The documents cannot be read or used. The message says why and what to do."""


class DataWarning(UserWarning):
    """The data have something that the user should know. The program continues."""


GZIP = b"\x1f\x8b"
MOST_UNPACKED = 2**32  # bytes
WEB = ("http://", "https://")
HEADINGS = {  # as tables have them, in small letters
    "name", "names", "word", "words", "text", "texts", "title", "titles", "label", "sentence", "document", "line", "id", "date", "value",
    "first_name", "last_name", "firstname", "lastname", "city", "country", "description", "content",
}  # fmt: skip


def load_docs(
    source: str | bytes | os.PathLike[str] | None = None, documents: str = GPTConfig.documents, *,
    encoding: str = "utf-8", column: str | int | None = None,
) -> list[str]:  # fmt: skip
    """The documents of a text file, in the order of the file. Lines are stripped, and empty ones are omitted.

    Args:
        source: A path, also of a file compressed by gzip; an http(s) address, which is downloaded once; "-" for standard input; "names"
            for the reference's list of names; "shakespeare" for tiny Shakespeare. None: input.txt in the current folder if there is one,
            else "names". A file called "names" is "./names".
        documents: What a document is: "lines"; "paragraphs", which blank lines separate and which keep their line breaks; or "text", the
            whole file as one. Train on these with a `GPTConfig` of the same `documents`.
        encoding: The encoding of the file, by any name that Python knows.
        column: The documents are the cells of this column of a table (CSV, or separated by tabs): its name in the first line, or its
            number, from 1, in a table without such a line.

    Returns:
        A list of strings.

    "names" is the file that the environment variable MICROGPT_NAMES names, else names.txt, downloaded once into the user's cache folder;
    "shakespeare" likewise, with MICROGPT_SHAKESPEARE. Without a network, "names" is a shorter list that comes with the package.

    Raises:
        DataError: The source has no text, is in another encoding, or cannot be downloaded.
        OSError: The file cannot be read.

    Warns:
        DataWarning: Something was changed or replaced without asking, or is likely not meant.
    """
    notes: list[str] = []
    documents = options_of(GPTConfig)["documents"].check(documents)
    try:
        return DOCUMENTS[documents](read(source, notes, encoding, column))
    finally:
        for note in notes:
            warn(note, DataWarning)


def read(source, notes, encoding="utf-8", column=None):
    """The text that load_docs(source) divides: its lines end in "\n", and not all are blank.

    notes: a list, to which messages for the user are appended.
    """
    try:
        codec = codecs.lookup(encoding)
    except (LookupError, TypeError, ValueError):
        codec = None
    if codec is None or not getattr(codec, "_is_text_encoding", True):
        raise DataError(f"there is no encoding {quoted(encoding)}; use for example utf-8, latin-1, cp1252 (Windows), utf-16")
    data, path, called = _bytes_of(source, notes)
    text = _parse(data, path, called, notes, codec.name)
    if column is not None:
        return _of_column(text, called, str(column), notes)
    _note_heading(text, called, notes)
    return text


def _bytes_of(source, notes):
    """(bytes, the path they are from or None, what they are called in a message)."""
    source = chosen(source)
    if source in datasets.KNOWN:
        data, path = _data_set(datasets.KNOWN[source], notes)
        return data, path, quoted_path(path)
    if source == "-":
        return _read_stdin(), None, "standard input"
    if isinstance(source, str) and source.lower().startswith(WEB):
        data, failure = datasets.fetch_url(source, notes)
        if failure is not None:
            raise DataError(
                f"{quoted_path(source)} could not be downloaded ({failure}); check the address, or download it and give the file"
            )
        if data[:200].lstrip().lower().startswith((b"<!doctype html", b"<html")):
            raise DataError(f"{quoted_path(source)} is a web page, not a text; give the address of the text itself")
        return data, None, quoted_path(source)
    if not isinstance(source, (str, bytes, os.PathLike)):
        raise TypeError(f"load_docs reads a path, such as 'docs.txt', not {quoted(source)}")
    return _read_file(source), source, quoted_path(source)


def chosen(source):
    """What load_docs(source) reads: None stands for input.txt in the current folder, or the names."""
    return source if source is not None else "input.txt" if os.path.exists("input.txt") else "names"


def file_of(source):
    """The path of the file that load_docs(source) reads, or would read if it existed; None for downloads."""
    source = chosen(source)
    if source in datasets.KNOWN:
        return os.environ.get(datasets.KNOWN[source].variable)
    if source.lower().startswith(WEB):
        return None
    return "/dev/stdin" if source == "-" else source  # a link to the file, if a file is redirected


# ---- From bytes to documents ------------------------------------------------------------------------------------


def _parse(data, path, what, notes, encoding="utf-8"):
    """The text of `data`, the bytes of the file `path` or None, which are called `what`."""
    data = _unpacked(data, what)
    _refuse_packed(data, path, what)
    if encoding == "utf-8":
        _refuse_nul(data, path, what)
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        if encoding != "utf-8":
            raise DataError(f"{what} is not {encoding}: {error.reason} at {_place(data, error.start)}; give another encoding") from None
        raise DataError(_not_utf8(data, path, what, error)) from None
    except UnicodeError as error:  # utf-16 without a mark, and the like
        raise DataError(f"{what} is not {encoding}: {error}; give another encoding") from None
    if text.startswith("\ufeff"):
        notes.append(f"{what} begins with a byte order mark (U+FEFF), which is removed because it is not part of the text")
        text = text[1:]
    text = text.replace("\r\n", "\n").replace("\r", "\n")  # as open() does
    if "\ufeff" in text:
        line = text.count("\n", 0, text.index("\ufeff")) + 1
        notes.append(
            f"{what} has a byte order mark (U+FEFF) inside, in line {line:,}, which is invisible and is learned as a character; "
            "remove it if it comes from joining files"
        )
    if not text or text.isspace():
        raise DataError(f"{what} {'holds only blank lines' if data else 'is empty'}; give a text file")
    return text


DOCUMENTS = {  # GPTConfig.documents -> those of a text, whose lines end in "\n" and are not all blank
    "lines": lambda text: [doc for line in text.split("\n") if (doc := line.strip())],
    "paragraphs": lambda text: [doc for part in re.split(r"\n\s*\n", f"\n{text}\n") if (doc := part.strip("\n"))],
    "text": lambda text: [text],
}


def _unpacked(data, what):
    """The data decompressed by gzip."""
    if not data.startswith(GZIP):
        return data
    import gzip
    import io
    import zlib

    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            unpacked = file.read(MOST_UNPACKED + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{what} is compressed by gzip and damaged ({error}); get it again") from None
    if len(unpacked) > MOST_UNPACKED:
        raise DataError(f"{what} has more than {sized(MOST_UNPACKED)} unpacked; give less data")
    return unpacked


def _of_column(text, what, column, notes):
    """The cells of a column of a table, one per line, or separated by blank lines if some have several lines."""
    import csv
    import io

    first = text.lstrip("\n").partition("\n")[0]
    try:
        rows = csv.reader(io.StringIO(text), delimiter="\t" if first.count("\t") > first.count(",") else ",")
        rows = [row for row in rows if row]
    except csv.Error as error:
        raise DataError(f"{what} cannot be read as a table: {error}") from None
    names = [name.strip() for name in rows[0]]
    if column in names:
        at, rows = names.index(column), rows[1:]
    elif column.isdecimal() and len(column) < 10 and 1 <= int(column) <= len(names):
        at = int(column) - 1
    else:
        raise DataError(f"{what} has no column {quoted(column)}; its first line has {shortened(', '.join(names))}")
    cells = [cell for row in rows if len(row) > at and (cell := row[at].strip())]
    if not cells:
        raise DataError(f"{what} has nothing in the column {quoted(column)}; give another")
    several = sum("\n" in cell for cell in cells)
    if several:
        notes.append(
            f"{what} has {several:,} of {counted(len(cells), 'cell')} with several lines, which only documents 'paragraphs' keeps together"
        )
    return ("\n\n" if several else "\n").join(cells)


def _note_heading(text, what, notes):
    """Add a note if the first line looks like the header of a table."""
    lines = [line for line in text[:10_000].split("\n")[:20] if line.strip()]
    first = lines[0].strip()
    delimiter = "\t" if "\t" in first else ","
    names = [name.strip().strip('"').lower() for name in first.split(delimiter)]
    alike = all(line.count(delimiter) >= len(names) - 1 for line in lines)
    if len(lines) > 2 and HEADINGS & set(names) and alike and all(name.replace("_", "").isalnum() for name in names):
        notes.append(
            f"the first line of {what}, {quoted(first, 40)}, looks like that of a table and is learned as any other; remove it, or give "
            f"column={quoted(first.split(delimiter)[0].strip())}" + (" or another" if len(names) > 1 else "")
        )


def _refuse_packed(data, path, what):
    """Raise DataError for a compressed file."""
    for pattern, (kind, command) in PACKED.items():
        if re.match(pattern, data):
            how = "give what it holds" if path is None else f"unpack it with: {command} {_in_shell(path)}"
            raise DataError(f"{what} is not a text file but compressed by {kind}; {how}")


def _refuse_nul(data, path, what):
    """Raise DataError for bytes that do not occur in UTF-8 text: those of UTF-16 and UTF-32, and binary data."""
    for encoding, mark in MARKS:
        if data.startswith(mark):
            raise DataError(f"{what} is not UTF-8 but {encoding.upper()}; {_convert(encoding, path)}")
    at = data.find(0)
    if at < 0:
        return
    head = data[:2000]
    for encoding, zeros, others in (("utf-16le", head[1::2], head[::2]), ("utf-16be", head[::2], head[1::2])):
        if zeros.count(0) > len(zeros) / 2 and others.count(0) == 0:  # ASCII letters are next to a zero byte
            raise DataError(f"{what} is not UTF-8 but looks like {encoding.upper()}; {_convert(encoding, path)}")
    raise DataError(f"{what} is not a text file: it has a NUL byte at {_place(data, at)}; give a UTF-8 text")


def _not_utf8(data, path, what, error):
    problem = f"{what} is not UTF-8: byte 0x{data[error.start]:02x} at {_place(data, error.start)}"
    if re.match(rb"\xed[\xa0-\xbf][\x80-\xbf]", data[error.start :]):
        return f"{problem} begins a surrogate, half of a character as UTF-16 has it; write the text again as UTF-8, or correct that place"
    text = data.decode("utf-8", "replace")
    bad = text.count("\ufffd")
    good = len(text) - len(text.encode("ascii", "ignore")) - bad  # characters of several bytes, which only UTF-8 has
    if good and error.reason == "unexpected end of data":
        return f"{problem} begins a character that the end cuts off; the text is incomplete, get it again"
    if good > bad:
        return f"{problem}, although most of the rest is; it is damaged or mixes encodings: correct that place"
    encoding = _likely_encoding(data)
    if encoding is None:
        return f"{problem}; {_convert('ENCODING', path)} (with the ENCODING it is in)"
    likely = {"latin1": "latin-1", "cp1252": "cp1252 (Windows)"}[encoding]
    return f"{problem}; its encoding is likely {likely}: {_convert(encoding, path)}"


def _likely_encoding(data):
    """The western European encoding of bytes that are not UTF-8; None if they are more likely of another script."""
    foreign = data.translate(None, bytes(range(0x80)))
    if len(foreign) > 0.4 * len(data):  # in western languages most letters are ASCII
        return None
    if max(foreign.translate(None, bytes(range(0xA0, 0x100))), default=0) == 0:
        return "latin1"  # it has nothing printable at 0x80 to 0x9f, where cp1252 has quotes, dashes and the euro
    try:
        data.decode("cp1252")
    except UnicodeDecodeError:
        return None
    return "cp1252"


def _place(data, at):
    lines = data[:at].replace(b"\r\n", b"\n").replace(b"\r", b"\n").count(b"\n")
    return f"offset {at}, line {lines + 1}"


def _convert(encoding, path):
    command = f"give encoding={encoding!r}, or convert it with: iconv -f {encoding} -t utf-8"
    return command if path is None else f"{command} {_in_shell(path)} > utf8.txt"


def _in_shell(path):
    """A file's name quoted for a shell; FILE for an unwieldy one."""
    import shlex

    name = shlex.quote(os.fsdecode(path))
    return name if shortened(name, LONGEST_PATH) == name else "FILE"


# ---- Where the bytes come from ----------------------------------------------------------------------------------


def _read_file(path, remedy="check the path", said=""):
    """The bytes of a file. Each OSError becomes one sentence: `said` tells where the path came from, `remedy` what to do."""
    what = quoted_path(path) + said
    if os.path.isdir(path):  # Windows would report a permission
        raise IsADirectoryError(f"{what} is a folder; give a text file")
    try:
        with open(path, "rb") as file:
            return _whole(file)
    except FileNotFoundError:
        raise FileNotFoundError(f"there is no file {what}; {remedy}") from None
    except PermissionError:
        raise PermissionError(f"{what} may not be read by this user; change its permissions (chmod +r)") from None
    except OSError as error:
        raise OSError(f"{what} cannot be read: {error.strerror}; {remedy}") from error


def _whole(file):
    """All its bytes, or those up to a NUL, because NULs are refused and a device may produce them without end."""
    data = file.read(2**20)
    return data if 0 in data else data + file.read()


def _read_stdin():
    if sys.stdin is None:
        raise DataError("standard input is closed; give a file, or pipe a text into this command")
    try:
        if hasattr(sys.stdin, "buffer"):
            return _whole(sys.stdin.buffer)
        return sys.stdin.read().encode("utf-8", "surrogatepass")  # a StringIO in its place
    except OSError as error:  # such as a folder: `microgpt train - < .`
        raise OSError(f"standard input cannot be read: {error.strerror or error}; give a file") from error


# ---- Data sets that are downloaded ------------------------------------------------------------------------------


def _data_set(known, notes):
    """Bytes and path of a data set, from the first of these that exists: the file that its variable names, the cached one, the downloaded
    one, the built-in one."""
    given = os.environ.get(known.variable)
    if given:
        return _read_file(given, "correct the variable or unset it", f" (named by the environment variable {known.variable})"), given
    data, path, failure = datasets.fetch(known, notes)
    if failure is None:
        return data, path
    failed = f"{known.file} could not be downloaded ({failure})"
    if not known.builtin:
        raise DataError(f"{failed}; get it from {known.url} and give its path, or name it by the environment variable {known.variable}")
    import importlib.resources

    notes.append(
        f"{failed}: the package's built-in list of names is used instead, so the numbers differ from the reference's; "
        f"{known.variable} can name a copy of the file"
    )
    builtin = importlib.resources.files("microgpt.corpus").joinpath(known.file)
    return builtin.read_bytes(), str(builtin)
