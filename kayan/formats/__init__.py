"""Files of annotated articles: one small module a format, each with `read` and `write`."""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO


class FormatError(ValueError):
    """A file that is not what it should be; the message starts with file and line and says what was expected."""

    def __init__(self, path: str | Path, line: int | None, message: str):
        self.path, self.line, self.message = str(path), line, message
        super().__init__(f"{path}:{line}: {message}" if line else f"{path}: {message}")


def read_text(path: str | Path) -> str:
    """The whole file as UTF-8 text without its byte order mark; `FormatError` if it is missing, empty or not UTF-8."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise FormatError(path, None, f"cannot be read: {error.strerror}") from None
    return decode(data, path)


def decode(data: bytes, path: str | Path, first: int = 1) -> str:
    """`data` as UTF-8 text; `path` and `first`, the line it begins at, are for the message."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise FormatError(path, first, "is UTF-16, UTF-8 is expected: convert it with `iconv -f UTF-16 -t UTF-8`")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + first
        around = data[max(0, error.start - 8) : error.start + 8]
        raise FormatError(
            path, line, f"is not UTF-8 at byte {error.start} (near {around!r}); save it as UTF-8"
        ) from None
    if not text.strip():
        raise FormatError(path, None, "is empty")
    return text


@contextlib.contextmanager
def replacing(path: str | Path) -> Iterator[IO[str]]:
    """A text file to write that takes its place at `path` only once it is complete."""
    with replacing_bytes(path) as raw, io.TextIOWrapper(raw, encoding="utf-8", newline="\n") as file:
        yield file


@contextlib.contextmanager
def replacing_bytes(path: str | Path) -> Iterator[IO[bytes]]:
    """A binary file to write that takes its place at `path` only once it is complete."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
        umask = os.umask(0)
        os.umask(umask)
        Path(temporary).chmod(0o666 & ~umask)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
