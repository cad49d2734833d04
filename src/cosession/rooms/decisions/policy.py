"""The session's policy, as far as people may change it: what becomes of a prompt that comes while an agent works."""

from dataclasses import replace

from cosession.document import DOUBLE_TEXTING, Request

from .case import Case


def change(case: Case, request: Request) -> None:
    """Take another way with prompts, if there is such a one."""
    wanted = request.value.get("double_texting")
    if wanted in DOUBLE_TEXTING and not request.subject:
        case.document.meta.set_policy(replace(case.document.meta.rules, double_texting=wanted))
