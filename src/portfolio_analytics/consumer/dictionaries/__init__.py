"""Dictionaries of repeated strings, and where they are kept."""
