"""Rollups: what visits add to them, where they are kept, months that are over."""
