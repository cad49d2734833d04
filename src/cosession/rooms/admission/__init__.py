"""Admission: what an update does to the session's document, and whether its writer may. See README.md."""

from .admission import Admission, Admitted, Limits

__all__ = ["Admission", "Admitted", "Limits"]
