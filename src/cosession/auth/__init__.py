"""Who somebody is: from what a request carries to a `Participant`.

In development, which is all there is yet, a participant names itself, so a server listens on loopback only.
"""

from .identity import ANONYMOUS, SERVER, Participant, identify

__all__ = ["ANONYMOUS", "SERVER", "Participant", "identify"]
