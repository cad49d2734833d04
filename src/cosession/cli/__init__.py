"""The command line: `cosession serve`, `demo`, `tail`, `send`, and `check`, `backup`, `repair` for the database.

It parses and prints; the server and the client do the work. An error of cosession is one line on stderr that says
what to do, and exit code 1; a traceback is a bug. Flags override `COSESSION_*` variables, which override the defaults
of `settings`.
"""

from .commands import app, main

__all__ = ["app", "main"]
