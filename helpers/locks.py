"""A lock between processes: what several of them would make in one folder is made once, and the others wait for it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .records import KitError


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Keeps every other process out of a folder for the length of the block; they wait at its beginning.

    The lock is a file beside the folder, locked by the system: when its process dies, however that comes, it is free
    again. The file itself stays, since taking it away would let two processes in.

    Raises:
        KitError: The place cannot be written to.
    """
    from filelock import FileLock, Timeout

    path = folder.with_name(f".{folder.name}.lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            print(f"waiting: another process works in {folder}", file=sys.stderr)
            lock.acquire()
    except OSError as error:
        raise KitError(f"cannot lock {folder}: {error}. May you write there?") from error
    try:
        yield
    finally:
        lock.release()
