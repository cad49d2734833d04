"""The ASGI server: the sync endpoint, the HTTP API and static pages. It parses requests and calls the hub."""

from .app import create_app
from .process import serve

__all__ = ["create_app", "serve"]
