"""The ASGI server: the sync endpoint, HTTP, static pages. It parses, asks the hub, and answers."""

from .app import create_app
from .process import serve

__all__ = ["create_app", "serve"]
