"""Finds the lines of a large text, shuffles them, and turns them into token ids, without a Python object for each line."""

from array import array

from libc.stddef cimport size_t
from libc.stdint cimport UINT32_MAX, uint32_t, uint64_t


cdef extern from "Python.h":
    ctypedef uint32_t Py_UCS4
    int PyUnicode_KIND(object text)
    void *PyUnicode_DATA(object text)
    Py_UCS4 PyUnicode_READ(int kind, void *data, Py_ssize_t i) nogil
    bint Py_UNICODE_ISSPACE(Py_UCS4 char) nogil


cdef struct Text:
    int kind
    void *data
    size_t n


cdef Text opened(str text):
    return Text(PyUnicode_KIND(text), PyUnicode_DATA(text), len(text))


cdef inline size_t next_line(const Text *t, size_t *at, size_t *end) noexcept nogil:
    """Where the line at `at` begins and ends without the blanks round it; `at` moves to the next line. Equal for a blank line."""
    cdef size_t i = at[0], first
    cdef Py_UCS4 char
    while i < t.n and PyUnicode_READ(t.kind, t.data, i) != 10 and Py_UNICODE_ISSPACE(PyUnicode_READ(t.kind, t.data, i)):
        i += 1
    first = end[0] = i
    while i < t.n:
        char = PyUnicode_READ(t.kind, t.data, i)
        i += 1
        if char == 10:
            break
        if not Py_UNICODE_ISSPACE(char):
            end[0] = i
    at[0] = i
    return first


def find(str text not None):
    """(where each line that is not blank begins, its characters sorted): an array of 32-bit numbers, and a str.

    A line is what str.strip leaves of it; lines end in "\\n". OverflowError for a text of 2**32 characters or more.
    """
    cdef Text t = opened(text)
    cdef size_t at = 0, n = 0, first, end = 0, i
    if t.n >= UINT32_MAX:
        raise OverflowError("a text of more than four thousand million characters")
    found = array("I", [0]) * (text.count("\n") + 1)
    cdef uint32_t[::1] starts = found
    cdef unsigned char[::1] seen = bytearray(0x110000)
    with nogil:
        while at < t.n:
            first = next_line(&t, &at, &end)
            if first < end:
                starts[n] = <uint32_t>first
                n += 1
                for i in range(first, end):
                    seen[PyUnicode_READ(t.kind, t.data, i)] = 1
    starts = None
    del found[n:]
    return found, "".join([chr(i) for i in range(0x110000) if seen[i]])


def encode(str text not None, uint64_t[::1] starts not None, const uint32_t[::1] ids not None, uint32_t bos):
    """Token ids of the lines that begin at starts[:-1], `BOS l0 BOS l1 ... BOS`: an array of 32-bit numbers.

    starts is overwritten with the position of each line's BOS among the ids, and that of the last BOS. ids: the token id of each
    character, by its code point.
    """
    cdef Text t = opened(text)
    cdef size_t n = starts.shape[0] - 1, known = ids.shape[0], to = 0, i, k, at, first, end = 0
    made = array("I", [0]) * (t.n + 2)  # each line has an end in the text, but for the last
    cdef uint32_t[::1] tokens = made
    cdef Py_UCS4 char
    with nogil:
        for i in range(n):
            at = starts[i]
            starts[i] = to
            tokens[to] = bos
            to += 1
            first = next_line(&t, &at, &end)
            for k in range(first, end):
                char = PyUnicode_READ(t.kind, t.data, k)
                tokens[to] = ids[char] if char < known else 0
                to += 1
        starts[n] = to
        tokens[to] = bos
    tokens = None
    del made[to + 1 :]
    return made


def cut(const uint64_t[::1] starts not None, uint64_t block_size):
    """(how many documents of a Corpus are longer than block_size, how many tokens they have beyond it)."""
    cdef size_t count = 0
    cdef Py_ssize_t i
    cdef uint64_t lost = 0
    for i in range(1, starts.shape[0]):
        if starts[i] - starts[i - 1] > block_size:
            count += 1
            lost += starts[i] - starts[i - 1] - block_size
    return count, lost


# ---- random.shuffle ------------------------------------------------------------------------------------------------------

DEF N = 624  # numbers in the state of the Mersenne Twister (Matsumoto and Nishimura, 1998), as random.Random has it


cdef struct Twister:
    uint32_t state[N]
    size_t at


cdef uint32_t next_number(Twister *r) noexcept nogil:
    cdef size_t k
    cdef uint32_t y
    if r.at >= N:
        for k in range(N):
            y = (r.state[k] & 0x80000000U) | (r.state[(k + 1) % N] & 0x7FFFFFFFU)
            r.state[k] = r.state[(k + 397) % N] ^ (y >> 1) ^ (0x9908B0DFU if y & 1 else 0)
        r.at = 0
    y = r.state[r.at]
    r.at += 1
    y ^= y >> 11
    y ^= (y << 7) & 0x9D2C5680U
    y ^= (y << 15) & 0xEFC60000U
    return y ^ (y >> 18)


def shuffle(uint32_t[::1] items not None, rng):
    """rng.shuffle(items), for fewer than 2**32 items and an exact random.Random, not a subclass; it leaves the same state."""
    cdef Twister r
    cdef size_t i, j
    cdef int bits
    cdef uint32_t swapped
    version, words, gauss = rng.getstate()
    for i in range(N):
        r.state[i] = words[i]
    r.at = words[N]
    with nogil:
        for i in range(<size_t>items.shape[0] - 1 if items.shape[0] else 0, 0, -1):
            bits = 0
            while (i + 1) >> bits:
                bits += 1
            j = next_number(&r) >> (32 - bits)
            while j > i:
                j = next_number(&r) >> (32 - bits)
            swapped = items[i]
            items[i] = items[j]
            items[j] = swapped
    rng.setstate((version, (*[r.state[i] for i in range(N)], r.at), gauss))
