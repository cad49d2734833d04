"""The command line: `cosession serve`, `demo`, `tail`, `send`, and `check`, `backup`, `repair` for the database.

Parses and prints; what it does is the server's and the client's work. An error of cosession is one line on stderr
that says what to do, and exit code 1; a traceback is a bug. Flags go before `COSESSION_*` variables, which go
before the defaults of `settings`.
"""

from .commands import app, main

__all__ = ["app", "main"]
