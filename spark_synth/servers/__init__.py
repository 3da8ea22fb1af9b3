"""Database servers, as sources and sinks see them alike: their addresses, and what they declare of their tables."""
