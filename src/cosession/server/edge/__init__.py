"""What a request or socket meets first: protocols, limits, origins, headers."""
