"""A laboratory round a run: what a model is worth, and where two runs differ."""
