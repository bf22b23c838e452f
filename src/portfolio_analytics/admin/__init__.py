"""Administration over HTTP: sites, tokens, goals, public links, sessions, the audit log, and the document."""
