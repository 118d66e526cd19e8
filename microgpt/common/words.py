"""Numbers and values as people write them."""


def counted(n, noun):
    """1 step, 2,000 steps."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def sized(n_bytes):
    """12 bytes, 3.4 kB, 5.6 MB, 7.8 GB."""
    for size, unit in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if n_bytes >= size:
            return f"{n_bytes / size:.1f} {unit}"
    return counted(n_bytes, "byte")


def quoted(value, most=60):
    """repr(value), its middle left out where it is long."""
    try:
        text = repr(value)
    except ValueError:  # an int of thousands of digits
        return f"a number of {value.bit_length()} bits"
    return text if len(text) <= most else f"{text[: most // 2 - 2]}...{text[1 - most // 2 :]}"
