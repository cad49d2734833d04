"""The edge of the server: protocols, limits, origins and headers, before any authentication."""
