"""Many documents at once, by the fast engine.

A document has a number, from 0 on, and depends on the seed, its number and the options, and on nothing else. So the first documents
of a seed are the same however many are asked for, and on however many threads. The random numbers do not come one after the other:
each is computed from what it is for, see `chance`.
"""

import random

from microgpt.engines import sampling

FEW = 64  # at least so many are tried at once where some may not be taken


def key_of(seed):
    """The key of the random numbers, 64 bits: from any seed that random.Random takes; None gives another each time."""
    return random.Random(seed).getrandbits(64)


def chance(key, document, position):
    """The random number, 0 < u < 1, that chooses token `position` (from 0, the prompt's counted) of document number `document`.

    The chosen token is the first at which the sum of the probabilities, in the order of token ids, is more than u. The number
    is the middle of one of 2**23 equal parts of (0, 1), by 23 bits of Philox4x32-10 (Salmon, Moraes, Dror & Shaw, "Parallel
    random numbers: as easy as 1, 2, 3", 2011).
    """
    from microgpt.compiled.fast import philox

    counter = (document % 2**32, document // 2**32, position // 4, 0)
    word = philox(counter, (key % 2**32, key // 2**32))[position % 4]
    return (2 * (word >> 9) + 1) / 2**24


def portions(model, n, temperature=0.5, *, seed=None, prompt="", top_k=None, top_p=None, unique=False, exclude=()):
    """Yields lists of new documents, n in all; see GPT.generate. model: a GPT on the fast engine.

    A list takes some hundredths of a second: so long what is between them, such as Ctrl-C, may have to wait.
    """
    tokens = model.check_request(n, temperature, prompt, top_k, top_p)
    tokenizer = model.tokenizer
    letters = "\0" + tokenizer.chars if tokenizer.bos_first else tokenizer.chars + "\0"
    writer = model.engine.writer(key_of(seed), letters, [tokenizer.bos, *tokens], temperature, top_k, top_p, n)
    taken, number, found, tries = set(exclude), 0, 0, 0
    while found < n:
        wanted = n - found
        texts = writer.write(number, min(writer.portion, max(wanted, FEW) if unique or taken else wanted))
        number += len(texts)
        if unique or taken:
            texts, tries = _select(texts, wanted, tries, taken, unique)
        found += len(texts)
        yield texts
        if tries == sampling.MOST_TRIES:
            raise sampling.nothing_new(found, n)


def _select(texts, wanted, tries, taken, unique):
    """Up to `wanted` of the texts that are not in `taken`, and how many were not taken since the last; it stops at MOST_TRIES."""
    selected = []
    for text in texts:
        if text in taken:
            tries += 1
            if tries == sampling.MOST_TRIES:
                break
            continue
        tries = 0
        selected.append(text)
        if unique:
            taken.add(text)
        if len(selected) == wanted:
            break
    return selected, tries
