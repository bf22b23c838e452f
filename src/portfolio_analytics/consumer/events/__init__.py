"""Events as rows of PostgreSQL."""
