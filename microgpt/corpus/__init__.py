"""Documents: from a file to the token ids that a run trains on.

    loading     reading them from a file, from standard input, or the list of names (names.txt, where there is no network)
    documents   shuffling them, holding some out, and dealing with those longer than the block
    tokens      all of them as one array of token ids
"""
