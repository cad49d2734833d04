"""A copy of the database, made while a server uses it; complete and on the disk, or not there at all.

It is one file of one moment: what was acknowledged before the copy began is in it, nothing is half in it, and what
was deleted before leaves no trace in it. It never replaces a file that is there.
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
        target: the file to make; its folder is there.

    Returns:
        What is damaged, a sentence each; the copy was made all the same, with the damage in it.

    Raises:
        StorageError: `target` is there already, it can't be written, or the database can't be read.
    """
    if os.path.lexists(target):
        raise _is_there(target)
    part = target.with_name(f"{target.name}.part")
    try:
        with reading(path) as db, explained(str(target)):
            part.unlink(missing_ok=True)  # of a backup that was killed
            db.execute("VACUUM INTO ?", (str(part),))
        sync(part)
        with inspect(part) as copy:
            damage = [*copy.failures]
            for session in copy.sessions:
                damage += [f"{session}: {what}" for what in copy.session(session).damage]
        try:
            os.link(part, target)  # unlike a rename, this fails where a file of that name is there
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
    """Bring a file, or the names in a folder, to the disk itself."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _is_there(target: Path) -> StorageError:
    return StorageError(f"{target} is there already: a backup never replaces a file; choose another name.")
