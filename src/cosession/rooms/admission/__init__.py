"""Admission: what an update does to the session's document, and whether its writer may. See README.md."""

from .admission import Admission, Admitted, Limits, Salvaged
from .checks import check_message
from .size import STRUCT_BYTES

__all__ = ["STRUCT_BYTES", "Admission", "Admitted", "Limits", "Salvaged", "check_message"]
