"""`python -m cosession.cli`: the command line where the script isn't on the path."""

from .commands import main

main()
