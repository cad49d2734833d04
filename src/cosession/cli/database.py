"""`cosession check`, `backup` and `repair`: maintenance of the database file. Each result is one line on stdout."""

from datetime import UTC, datetime
from pathlib import Path

import typer

from cosession.runtime.log_repair import find_damage, mend
from cosession.storage.repair import back_up, inspect, repair


def check_database(path: Path) -> None:
    """Print all damage in the database.

    Args:
        path: the database file.

    Raises:
        StorageError: the database can't be read.
        typer.Exit: something is damaged; the code is 1.
    """
    damaged = 0
    with inspect(path) as inspection:
        for failure in inspection.failures:
            typer.echo(f"{path}: {failure}")
        for session in inspection.sessions:
            damage = find_damage(inspection.session(session))
            damaged += bool(damage)
            for what in damage:
                typer.echo(f"{session}: {what}")
        count = len(inspection.sessions)
        if damaged or inspection.failures:
            typer.echo(f"{damaged} of {_sessions(count)} damaged. Stop the server and run `cosession repair`.")
            raise typer.Exit(1)
    typer.echo(f"{path}: {_sessions(count)} whole.")


def back_up_database(path: Path, target: Path) -> None:
    """Copy the database, and print the path of the copy.

    Args:
        path: the database file.
        target: the file to make.

    Raises:
        StorageError: the copy can't be made.
        typer.Exit: the copy was made, and its content is damaged; the code is 1.
    """
    damage = back_up(path, target)
    for what in damage:
        typer.echo(what)
    if damage:
        typer.echo(f"{target} is a copy of a damaged database: `cosession check` says more.")
        raise typer.Exit(1)
    typer.echo(f"{target}: saved and checked, {target.stat().st_size:,} bytes.")


def repair_database(path: Path) -> None:
    """Repair the database, and print the changes and where the damaged file is kept.

    Args:
        path: the database file.

    Raises:
        StorageError: a server uses the database, or it can't be repaired.
    """
    done = repair(path, mend, datetime.now(UTC).strftime("%Y%m%d-%H%M%S"))
    if done is None:
        typer.echo(f"{path}: nothing is damaged, and nothing was changed.")
        return
    for session, changes in done.changes.items():
        for what in changes:
            typer.echo(f"{session}: {what}")
    typer.echo(f"{path} is repaired; the damaged one is kept as {done.aside}.")


def _sessions(count: int) -> str:
    return f"{count} session is" if count == 1 else f"{count} sessions are"
