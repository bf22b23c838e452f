"""Administration over HTTP: sites, tokens, goals, funnels, public links, sessions, audit log, document."""
