"""Tools around a run: evaluate a model, compare two runs, sweep over settings, and log losses elsewhere."""
