"""Measurements of the real parts, each beside a floor or another way to do the same, in one run."""
