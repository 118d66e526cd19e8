"""A clock for pytest-benchmark that counts seconds per unit of work, so that its table compares engines unit by unit."""

import time


class Clock:
    """Pass it as a benchmark's `timer`, and set `units` to the work of one round before the round.

    Engines that take a tenth of a second and ten microseconds for a document need rounds of different lengths; divided by their
    units, both appear in one column.
    """

    units = 1

    def __call__(self):
        return time.perf_counter() / self.units
