"""Admission: what an update does to the session's document, and whether its writer may. See README.md."""

from .admission import Admission, AdmissionLimits, Admitted, Salvaged
from .quota import STRUCT_BYTES
from .rules import RECORD_ROOTS
from .value_checks import check_message

__all__ = ["RECORD_ROOTS", "STRUCT_BYTES", "Admission", "AdmissionLimits", "Admitted", "Salvaged", "check_message"]
