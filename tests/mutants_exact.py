"""Defects of the exact engine that keep it looking right, for mutants.py."""

EXACT = {}
