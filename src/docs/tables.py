"""Write the tables of the reference that come from the code: settings, errors, commands, capabilities, rules.

    python src/docs/tables.py            writes them into the pages
    python src/docs/tables.py --check    only says whether they are current

A table stands between two comments, `<!-- table: NAME -->` and `<!-- end -->`; the rest of a page is written by hand.
"""

import inspect
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import typer

from cosession import errors
from cosession.admission.rules import REQUESTS, RULES, Rule, Whose
from cosession.admission.value_checks import CHECKS
from cosession.auth.capabilities import CAPABILITIES, ROLES, SCOPED
from cosession.cli.commands import app
from cosession.settings import PREFIX, Settings

PAGES = Path(__file__).resolve().parent / "pages"

_TABLE = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def written(page: str) -> str:
    """Return a page with its tables as the code has them.

    Args:
        page: the Markdown of the page.
    """
    return _TABLE.sub(lambda found: f"{found[1]}\n{TABLES[found[2]]()}\n\n{found[3]}", page)


def table(*rows: tuple[str, ...]) -> str:
    """Return a Markdown table; the first row is its head."""
    head, *body = [[cell.replace("|", r"\|").replace("\n", " ") for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *body))


def settings() -> str:
    """Return the settings, with their variables and defaults."""
    rows = [
        (f"`{PREFIX}{name.upper()}`", f"`{_default(field.default)}`", f"{field.description or ''}.")
        for name, field in Settings.model_fields.items()
    ]
    return table(("variable", "default", "meaning"), *rows)


def _default(value: Any) -> str:
    match value:
        case None:
            return "none"
        case bool():
            return "1" if value else "0"
        case tuple():
            return ",".join(map(str, value)) or "none"  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
        case _:
            return str(value)


def error_codes() -> str:
    """Return the errors, with their code, close code and HTTP status."""
    rows = [
        (f"`{kind.code}`", str(kind.close_code), str(kind.status), _first_sentence(kind))
        for kind in sorted(_errors(errors.CosessionError), key=lambda kind: kind.code)
    ]
    return table(("code", "close", "HTTP", "meaning"), *rows)


def _errors(kind: type[errors.CosessionError]) -> Iterator[type[errors.CosessionError]]:
    if "code" in vars(kind):
        yield kind
    for sub in kind.__subclasses__():
        if sub.__module__ == errors.__name__:
            yield from _errors(sub)


def _first_sentence(kind: type) -> str:
    return (inspect.getdoc(kind) or "").split("\n\n")[0].replace("\n", " ")


def commands() -> str:
    """Return each command with its arguments and options."""
    group: Any = typer.main.get_command(app)
    return "\n\n".join(_command(name, command) for name, command in group.commands.items())


def _command(name: str, command: Any) -> str:
    arguments = [
        (each.metavar or each.name.upper()) + ("" if each.required else "?")
        for each in command.params
        if each.param_type_name == "argument"
    ]
    rows = [
        (f"`{', '.join((*option.opts, *option.secondary_opts))}`", option.help or "")
        for option in command.params
        if option.param_type_name == "option" and option.name != "help"
    ]
    options = "\n\n" + table(("option", "meaning"), *rows) if rows else ""
    return f"## `cosession {' '.join((name, *arguments))}`\n\n{(command.help or '').strip()}{options}"


def capabilities() -> str:
    """Return the capabilities, and the roles that include them."""
    shown = ("viewer", "member", "agent", "operator")
    rows = [
        (f"`{name}`", meaning, *("yes" if name in ROLES[role] else "" for role in shown))
        for name, meaning in CAPABILITIES.items()
    ]
    rows += [
        (f"`{name}:…`", meaning, *("all" if f"{name}:*" in ROLES[role] else "" for role in shown))
        for name, meaning in SCOPED.items()
    ]
    return table(("capability", "permits", *shown), *rows)


def rules() -> str:
    """Return what each place of the document needs to be written."""
    return table(("place", "action", "own needs", "another's needs", "note"), *map(_row, RULES))


def _row(rule: Rule) -> tuple[str, ...]:
    notes = (_WHOSE[rule.whose], CHECKS[rule.check][1] if rule.check else "", rule.note)
    own, others = _needs(rule.own), _needs(rule.others)
    if not rule.own:
        own = others = "server only"
    elif rule.whose == "all":
        own = others
    return f"`{rule.where}`", ", ".join(rule.what), own, others, "; ".join(note for note in notes if note)


_WHOSE: dict[Whose, str] = {
    "record": "",
    "unowned": "without an owner it is everyone's",
    "first": "the key begins with the participant's id",
    "second": "the participant's id is second in the key",
    "last": "the key ends in the participant's id",
    "all": "",
}


def requests() -> str:
    """Return what each kind of request needs."""
    return table(("kind", "needs one of"), *((f"`{kind}`", _needs(needs)) for kind, needs in REQUESTS.items()))


def _needs(names: tuple[str, ...]) -> str:
    return " or ".join(f"`{name}`" for name in names) or "–"


TABLES: dict[str, Callable[[], str]] = {
    "settings": settings,
    "errors": error_codes,
    "commands": commands,
    "capabilities": capabilities,
    "rules": rules,
    "requests": requests,
}

if __name__ == "__main__":
    stale = [path for path in sorted(PAGES.rglob("*.md")) if written(path.read_text()) != path.read_text()]
    if "--check" in sys.argv:
        if stale:
            sys.exit(f"Not as the code is: {', '.join(str(path) for path in stale)}. Run python src/docs/tables.py.")
    else:
        for path in stale:
            path.write_text(written(path.read_text()))
            print(f"wrote {path.relative_to(PAGES)}")
