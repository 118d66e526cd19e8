"""What everything above uses, and what knows nothing of microgpt: options, words, files, optional packages."""
