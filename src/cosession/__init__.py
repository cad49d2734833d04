"""cosession: an AI session is one Yjs document that people, their devices and agents edit together.

This module is the public API: its exports, and the usage that the README shows, are stable. Its import is cheap: the
SDK behind it, with its Yjs documents and sockets, is loaded when one of the names is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__all__ = ["Worker", "connect"]

if TYPE_CHECKING:
    from cosession.client import Worker, connect
else:  # for type checkers a module with this function has every name

    def __getattr__(name: str) -> Any:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(".client", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
