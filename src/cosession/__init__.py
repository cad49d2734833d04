"""cosession: an AI session is one Yjs document that people, their devices and agents edit together.

This module is the public API; what it exports, and what the README shows, stays.
"""
