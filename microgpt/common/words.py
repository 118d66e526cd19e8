"""Numbers, values and untrusted text as microgpt shows them.

Text that comes from outside (an argument, a file's name or contents) goes into a message by `quoted` or `shortened`, and to a
terminal by `printable`: so no message is long, and none contains a control character.
"""

import os
import re

# Control characters, line ends, embeddings and overrides of the direction of writing, and halves of characters
_OBEYED = "[\0-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
LONGEST_PATH = 160  # characters: more than for other values, because users copy paths


def counted(n, noun):
    """1 step, 2,000 steps."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def sized(n_bytes):
    """12 bytes, 3.4 kB, 5.6 MB, 7.8 GB."""
    for size, unit in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if n_bytes >= size:
            return f"{n_bytes / size:.1f} {unit}"
    return counted(n_bytes, "byte")


def printable(text):
    """Text as one line without control characters: these and similar ones appear as escapes (\\x1b)."""
    return re.sub(_OBEYED, lambda found: found[0].encode("unicode_escape").decode(), text)


def shortened(text, most=60):
    """Printable text, its middle omitted if it is long."""
    text = printable(text)
    return text if len(text) <= most else f"{text[: most // 2 - 2]}...{text[1 - most // 2 :]}"


def quoted(value, most=60):
    """repr(value), printable, its middle omitted if it is long."""
    try:
        return shortened(repr(value), most)
    except ValueError:  # an int of thousands of digits, which Python does not write
        return f"a number of {value.bit_length()} bits" if isinstance(value, int) else f"a {type(value).__name__}"


def quoted_path(path):
    """A file's name in a message; path: as for open()."""
    return quoted(os.fsdecode(path), LONGEST_PATH)
