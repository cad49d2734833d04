"""Admission: what an update does to the session's document, and whether its writer may. See README.md."""

from .admission import Admission, Admitted, Limits, Salvaged
from .quota import STRUCT_BYTES
from .value_checks import check_message

__all__ = ["STRUCT_BYTES", "Admission", "Admitted", "Limits", "Salvaged", "check_message"]
