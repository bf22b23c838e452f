"""What can be known from an event's own words: its client, its screen, where it came from."""
