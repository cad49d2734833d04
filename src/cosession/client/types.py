"""The closed sets of strings, and other types, in the signatures of the SDK."""

from typing import Literal, TypeAlias

Kind: TypeAlias = Literal["human", "agent", "operator"]
"""The kind of a participant."""
