"""A laboratory round a run: what a model is worth, where two runs differ, and where its losses are logged."""
