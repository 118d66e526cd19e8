"""Helpers that all other modules use and that know nothing of microgpt: options, words, files, optional packages."""
