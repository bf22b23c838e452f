"""Bad rows: records that cannot be stored, kept with their reasons."""
