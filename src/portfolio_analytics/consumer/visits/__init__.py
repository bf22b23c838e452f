"""Visits: what they are, how they merge, where they are kept."""
