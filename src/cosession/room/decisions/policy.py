"""The session's policy, as far as people may change it: what becomes of a prompt that comes while an agent works."""

from dataclasses import replace

from cosession.document import DOUBLE_TEXTING, RequestRecord
from cosession.errors import BadRequest

from .context import DecisionContext


def change(case: DecisionContext, request: RequestRecord) -> None:
    """Take another way with prompts.

    Raises:
        BadRequest: there is no such way.
    """
    wanted = request.value.get("double_texting")
    if wanted not in DOUBLE_TEXTING or request.subject:
        raise BadRequest(f"A request for a policy names 'double_texting', one of {', '.join(DOUBLE_TEXTING)}.")
    case.document.meta.set_policy(replace(case.document.meta.rules, double_texting=wanted))
