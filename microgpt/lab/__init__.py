"""Tools around a run: evaluate a model, compare two runs, repeat with several seeds, sweep over settings, and log losses elsewhere."""
