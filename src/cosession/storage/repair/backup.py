"""A backup of the database, made while a server uses it; it is complete and durable, or doesn't exist.

It is one file as of one moment: every write that was acknowledged before the copy began is in it, no write is half in
it, and data that was deleted before leaves no trace in it. It never replaces an existing file.
"""

import os
from contextlib import suppress
from pathlib import Path

from cosession.errors import StorageError

from ..database import explained
from .check import inspect
from .read_only import reading


def back_up(path: Path, target: Path) -> tuple[str, ...]:
    """Copy a database into a new file.

    Args:
        path: the database; a server may be using it.
        target: the file to make; its folder exists.

    Returns:
        A sentence for each damage; the copy was made anyway, and includes the damage.

    Raises:
        StorageError: `target` exists, it can't be written, or the database can't be read.
    """
    if os.path.lexists(target):
        raise _is_there(target)
    part = target.with_name(f"{target.name}.part")
    try:
        with reading(path) as db, explained(str(target)):
            part.unlink(missing_ok=True)  # left by a killed backup
            db.execute("VACUUM INTO ?", (str(part),))
        sync(part)
        with inspect(part) as copy:
            damage = [*copy.failures]
            for session in copy.sessions:
                damage += [f"{session}: {what}" for what in copy.session(session).damage]
        try:
            os.link(part, target)  # unlike a rename, this fails if the file exists
        except FileExistsError:
            raise _is_there(target) from None
        sync(target.parent)
    except OSError as error:
        raise StorageError(f"The backup {target} can't be written: {error.strerror or error}.") from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
    return tuple(damage)


def sync(path: Path) -> None:
    """Flush a file, or the entries of a folder, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _is_there(target: Path) -> StorageError:
    return StorageError(f"{target} is there already: a backup never replaces a file; choose another name.")
