"""Admission: what an update does to the session's document, and whether its writer may. See README.md."""

from .admission import Admission, AdmissionLimits, Admitted, Salvaged
from .quota import STRUCT_BYTES
from .value_checks import check_message

__all__ = ["STRUCT_BYTES", "Admission", "AdmissionLimits", "Admitted", "Salvaged", "check_message"]
