"""Tools around a run: evaluate a model, compare two runs, and log losses elsewhere."""
