"""The policy of a session that people may change: the handling of a prompt that arrives while an agent works."""

from dataclasses import replace

from cosession.document import DOUBLE_TEXTING, RequestRecord
from cosession.errors import BadRequest

from .context import DecisionContext


def change(case: DecisionContext, request: RequestRecord) -> None:
    """Change the handling of such prompts.

    Raises:
        BadRequest: the value is unknown.
    """
    wanted = request.value.get("double_texting")
    if wanted not in DOUBLE_TEXTING or request.subject:
        raise BadRequest(f"A request for a policy names 'double_texting', one of {', '.join(DOUBLE_TEXTING)}.")
    case.document.meta.set_policy(replace(case.document.meta.rules, double_texting=wanted))
