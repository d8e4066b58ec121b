"""Files that are either whole or absent, and readers that a hostile file cannot exhaust."""

import json
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from egorear.errors import UserError

JSON_LIMIT_BYTES = 64 * 2**20
LEFTOVER = re.compile(r"\.(.+)\.[0-9a-f]{8}(\.\w+)?")  # as `atomic_write` names its temporary files


@contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """Yields a temporary path in the same folder and renames it to `path` on success; on any failure
    (Ctrl-C included) the temporary file is removed and what stood at `path` is untouched.

    Raises:
        UserError: the folder cannot be made or written, or the disk is full.
    """
    path = Path(path)
    if not path.name:  # "." or "/"
        raise UserError(f"cannot write {path}: it is a folder but must be a file")
    # Named before it is made, so that an interrupt while it is being made leaves nothing either.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        open(temporary, "xb").close()
        yield temporary
        temporary.replace(path)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def remove_leftovers(folder: str | Path, below: bool = False) -> None:
    """Removes the temporary files of `atomic_write` that a killed process left in a folder (or anywhere `below` it).
    Only for folders that nobody else is writing to."""
    for path in Path(folder).glob("**/.*" if below else ".*"):
        if LEFTOVER.fullmatch(path.name) and path.is_file():
            path.unlink(missing_ok=True)


def check_writable(folder: str | Path) -> None:
    """Makes the folder if need be; for commands that would find out only after long work.

    Raises:
        UserError: files cannot be written there.
    """
    probe = Path(folder) / ".writable"
    try:
        with atomic_write(probe):
            pass
    except UserError as error:
        raise UserError(str(error).replace(str(probe), f"into the folder {folder}", 1)) from error
    probe.unlink(missing_ok=True)


def check_name(part: str, owner: str) -> None:
    """Refuses what would leave its folder or hide in it.

    Raises:
        UserError: it is no plain file name.
    """
    if not part or part.startswith(".") or set(part) & set("/\\\0\n"):
        raise UserError(f"'{part}' cannot name {owner}: it must be a plain file name")


def write_bytes(path: str | Path, data: bytes) -> None:
    """Writes bytes atomically."""
    with atomic_write(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: str | Path, text: str) -> None:
    """Writes UTF-8 text atomically.

    Raises:
        UserError: it cannot be written, or is no text: the name of a file that is not UTF-8 was put into it.
    """
    try:
        data = text.encode()
    except UnicodeEncodeError as error:
        part = text[max(0, error.start - 20) : error.end]
        raise UserError(f"cannot write {path}: {part!r} is no text, as the name of a file that is not UTF-8") from error
    write_bytes(path, data)


def write_json(path: str | Path, value: Any, indent: int | None = 2) -> None:
    """Writes JSON atomically; NaN and infinity are refused (they are not JSON)."""
    write_text(path, json.dumps(value, indent=indent, allow_nan=False) + "\n")


def read_bytes(path: str | Path, limit_bytes: int) -> bytes:
    """Reads a file of at most `limit_bytes`.

    Raises:
        UserError: the file is missing, too large or cannot be read.
    """
    try:
        with open(path, "rb") as file:
            status = os.fstat(file.fileno())
            # A pipe tells no size; asking a file for much more than it has costs more than reading it.
            expected = min(status.st_size, limit_bytes) if stat.S_ISREG(status.st_mode) else limit_bytes
            data = file.read(expected + 1)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error
    if len(data) > limit_bytes:
        raise UserError(f"{path} is larger than the {limit_bytes} bytes expected of such a file")
    return data


def read_json(path: str | Path, limit_bytes: int = JSON_LIMIT_BYTES) -> Any:
    """Reads JSON of at most `limit_bytes`.

    Raises:
        UserError: the file is missing, too large, nested beyond reason, not JSON, or has a name twice in one object.
    """
    data = read_bytes(path, limit_bytes)
    try:
        return json.loads(data, object_pairs_hook=_object)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not valid JSON: {error}") from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"'{twice}' occurs twice in one object")
    return content
