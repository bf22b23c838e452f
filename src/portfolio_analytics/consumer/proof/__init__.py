"""Proof: everything that is derived, held against the rows and made anew."""
