"""Bringing in what other programs recorded, through the running service's own intake."""
