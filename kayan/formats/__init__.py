"""Files of annotated articles: one small module a format, each with `read` and `write`."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

# Half of a character, which JSON can spell and no encoding can write.
SURROGATE = re.compile("[\ud800-\udfff]")
_SPELT = re.compile(r"\\u[dD][89a-fA-F]")
# Metadata nested deeper is no metadata; readers and writers of JSON call themselves for each level.
_DEPTH = 100


class FormatError(ValueError):
    """A file that is not what it should be; the message starts with file and line and says what was expected."""

    def __init__(self, path: str | Path, line: int | None, message: str):
        self.path, self.line, self.message = str(path), line, message
        super().__init__(f"{path}:{line}: {message}" if line else f"{path}: {message}")


def reason(error: Exception) -> str:
    """What an error says, without the file or the document that its message may name before."""
    return str(getattr(error, "message", error))


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
    if _is_utf16(data[:4096]):
        raise FormatError(
            path, first, "looks like UTF-16 without its mark, UTF-8 is expected: try `iconv -f UTF-16LE -t UTF-8`"
        )
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


def _is_utf16(data: bytes) -> bool:
    """Whether every second byte is the upper half of an Arabic or Latin character: as UTF-8 that may be readable, and is
    control characters."""
    halves = [data[side::2] for side in (0, 1)]
    return len(data) >= 16 and any(half.count(0) + half.count(6) > 0.9 * len(half) for half in halves)


def parse_json(written: str, path: str | Path, line: int | None = None, column: int = 0) -> Any:
    """The value that JSON says. `path`, `line` (None counts in `written`) and `column`, where it begins, are for messages.

    Raises `FormatError` for broken JSON, nesting deeper than 100 levels, a number of more than 4300 digits and an object
    with a key twice, of which one would be lost. NaN and Infinity are read, as Python's own writer writes them.
    """
    try:
        value = json.loads(written, object_pairs_hook=_distinct)
    except json.JSONDecodeError as error:
        message = f"broken JSON at column {error.colno + column}: {error.msg}"
        raise FormatError(path, line or error.lineno, message) from None
    except RecursionError:
        raise FormatError(path, line, f"JSON nested deeper than {_DEPTH} levels") from None
    except KeyError as error:
        raise FormatError(path, line, f"JSON with the key {error.args[0]!r:.60} twice in one object") from None
    except ValueError as error:  # Python converts no number so long.
        raise FormatError(path, line, f"a number in the JSON is too long: {str(error).split(':')[0]}") from None
    if written.count("[") + written.count("{") > _DEPTH and _is_deep(value):
        raise FormatError(path, line, f"JSON nested deeper than {_DEPTH} levels")
    return value


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for key, item in pairs:
        if key in value:
            raise KeyError(key)
        value[key] = item
    return value


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(_DEPTH):
        groups = (item.values() if isinstance(item, dict) else item for item in level if isinstance(item, dict | list))
        level = [inner for group in groups for inner in group]
    return any(isinstance(item, dict | list) for item in level)


def halved(value: Any, written: str) -> str | None:
    """What is wrong with a value of the JSON `written` that holds half a character, in a key or a string; else None."""
    if not _SPELT.search(written):
        return None
    half = SURROGATE.search(text := json.dumps(value, ensure_ascii=False))
    return half and f"has half a character, {half[0]!r}, which nothing can write, near {text[: half.start()][-20:]!r}"


def merged_meta(rest: dict[str, Any], where: str) -> dict[str, Any]:
    """The fields of a record that are none of its format's, with those in its own "meta"; `ValueError` naming one in both."""
    meta = rest.pop("meta") if isinstance(rest.get("meta"), dict) else {}
    if both := rest.keys() & meta.keys():
        raise ValueError(f"{', '.join(sorted(both))} is in the {where} and in its meta")
    return {**rest, **meta}


@contextlib.contextmanager
def replacing(path: str | Path) -> Iterator[IO[str]]:
    """A text file to write that takes its place at `path` only once it is complete."""
    with replacing_bytes(path) as raw, io.TextIOWrapper(raw, encoding="utf-8", newline="\n") as file:
        yield file


def write_json(path: str | Path, value: Any, indent: int = 2) -> None:
    """Write a value as JSON, with a line feed at its end; the file appears only when it is complete."""
    with replacing(path) as file:
        json.dump(value, file, ensure_ascii=False, indent=indent)
        file.write("\n")


def sha256(path: str | Path) -> str:
    """The SHA-256 of a file, read piece by piece."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
