"""Checking, mending, copying and reading a database that may be damaged."""
