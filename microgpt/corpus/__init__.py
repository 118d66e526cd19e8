"""Documents: from a file to the token ids that a run trains on.

datasets    data sets known by name, downloaded and cached (without a network, the names.txt in this folder is used)
loading     reading documents from a file, from standard input, or a data set
lines       the lines of a text as documents, without an object for each
documents   shuffling them, holding some out, and cutting or splitting those longer than the block
tokens      all of them as one array of token ids
"""
