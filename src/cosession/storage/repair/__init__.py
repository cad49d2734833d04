"""Checking, repairing, backing up and reading a database that may be damaged."""

from .backup import back_up
from .check import Inspection, Remains, inspect
from .rebuild import Mended, Repaired, repair

__all__ = ["Inspection", "Mended", "Remains", "Repaired", "back_up", "inspect", "repair"]
