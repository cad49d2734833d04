"""One connection: its reader, writer, limits and token."""
