"""Taking events out: every event of a site with all that is stored of it, as CSV, NDJSON or Parquet."""
