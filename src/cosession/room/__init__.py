"""One live document, purely: every frame in, effects out. No I/O and no clock. README.md says what is where."""
