"""Text for a terminal: its direction, its control characters, errors in one line, an article with its mentions marked."""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
import unicodedata
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar

import click

if TYPE_CHECKING:
    from kayan.document import Document

# Readable on dark and light backgrounds; a type beyond the list starts over.
_COLOURS = ("bright_red", "bright_blue", "green", "magenta", "cyan", "yellow", "bright_green", "bright_magenta")
_ISOLATE, _POP = "\u2068", "\u2069"
# What `kayan.doctor.quoted` writes, or a word: a label, a path without its line number.
_UNIT = re.compile(r"'(?:[^'\\]|\\.)*'|[^\s'():]+")
# Control characters by their pictures (␛); those beyond ASCII have none, nor have the halves of characters that stand for
# bytes of a file's name. Line feeds and tabs stay.
_PICTURES = {code: 0x2400 + code for code in range(0x20) if code not in (0x09, 0x0A)} | {0x7F: 0x2421}
_PICTURES |= dict.fromkeys((*range(0x80, 0xA0), *range(0xD800, 0xE000)), 0xFFFD)
# Control characters that JSON does not make its writers escape.
_UNESCAPED = {code: f"\\u{code:04x}" for code in range(0x7F, 0xA0)}


def visible(text: str) -> str:
    """The text with its control characters made visible: an article could give orders to the terminal that shows it.

    >>> visible("فاس\x1b[2J")
    'فاس␛[2J'
    """
    return text.replace("\r\n", "\n").translate(_PICTURES)


def echo(message: object, err: bool = False, nl: bool = True, over: bool = False) -> None:
    """Print `message`, which may hold text of articles and names of files, `visible`; `over` the line that was begun."""
    click.echo("\r" * over + visible(str(message)), err=err, nl=nl)


def to_json(value: Any, indent: int | None = None) -> str:
    """The value as JSON that can be read in a terminal, every control character escaped.

    >>> to_json({"فاس": "\x9b2J"})
    '{"فاس": "\\\\u009b2J"}'
    """
    return json.dumps(value, ensure_ascii=False, indent=indent).translate(_UNESCAPED)


@contextlib.contextmanager
def reporting(*also: type[Exception]) -> Iterator[None]:
    """Say in one line what is wrong with the input of a program, then exit with status 2: ValueError, ImportError, OSError
    and those in `also`. Warnings for the user are one line too, and what click refuses is `visible`."""
    wrong: tuple[type[Exception], ...] = (ValueError, ImportError, OSError, *also)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _warn
            yield
    except click.ClickException as error:
        error.message = visible(error.message)  # type: ignore[misc]
        raise
    except BrokenPipeError:
        # The reader of a pipe left; without this Python complains at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(141) from None
    except wrong as error:
        echo(f"error: {error}", err=True)
        raise SystemExit(2) from None


class _Reports:
    """What makes a command of click report on its input as `reporting` says; `also` is for its subclasses to name."""

    also: ClassVar[tuple[type[Exception], ...]] = ()

    def make_context(self, *arguments: Any, **options: Any) -> click.Context:
        with reporting():
            return super().make_context(*arguments, **options)  # type: ignore[misc]

    def invoke(self, ctx: click.Context) -> Any:
        with reporting(*self.also):
            return super().invoke(ctx)  # type: ignore[misc]


class Command(_Reports, click.Command):
    """A command that turns bad input into one line and exit status 2."""


class Commands(_Reports, click.Group):
    """A group of commands of which each does so."""


def _warn(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
    """Without the place in the code: it is about the user's files."""
    if issubclass(category, UserWarning):
        echo(f"warning: {message}", err=True)


def isolate(text: str) -> str:
    """The text as a unit of its own direction (Unicode bidi), on one line and `visible`."""
    return f"{_ISOLATE}{_on_one_line(text)}{_POP}"


def _on_one_line(text: str) -> str:
    return visible(text).replace("\n", "␊")


def isolated(text: str) -> str:
    """The text for a line in a terminal, `visible`: a unit of its own direction (Unicode bidi) where it holds Arabic, since
    digits behind Arabic letters are Arabic numbers (UAX #9, W2), which turn brackets and columns around them.

    >>> isolated("فاس") == "\\u2068فاس\\u2069", isolated("LOC")
    (True, 'LOC')
    """
    turns = any(unicodedata.bidirectional(char) in ("R", "AL") for char in text)
    return isolate(text) if turns else _on_one_line(text)


def line(message: object) -> str:
    """A message for the terminal, with what it quotes and names isolated."""
    return _UNIT.sub(lambda unit: isolated(unit[0]), str(message))


def painted(document: Document, types: tuple[str, ...], colour: bool) -> str:
    """The article with its mentions marked, then a list of them, for a terminal.

    With colours each mention is coloured by type; without, it stands in brackets with its type. The Latin type names
    are isolated (Unicode bidi), so that they do not turn the Arabic line around.
    """
    paint = {label: _COLOURS[i % len(_COLOURS)] for i, label in enumerate(types)}
    parts, at = [], 0
    for span in document.spans:
        label = isolate(span.label)
        parts.append(visible(document.text[at : span.start]))
        if colour:
            parts.append(click.style(visible(span.text), fg=paint[span.label], bold=True))
        else:
            parts.append(f"[{visible(span.text)} {label}]")
        at = span.end
    parts.append(visible(document.text[at:]))
    lines = ["".join(parts), ""]
    for label in types:
        found: dict[str, list[float]] = {}
        for span in document.spans:
            if span.label == label:
                found.setdefault(span.name, []).append(span.score or 0.0)
        if found:
            head = f"{_on_one_line(label):<6}"
            head = click.style(head, fg=paint[label], bold=True) if colour else head
            names = " · ".join(
                isolate(name) + (f" ×{len(scores)}" if len(scores) > 1 else "") + f" {max(scores):.2f}"
                for name, scores in found.items()
            )
            lines.append(f"{head} {names}")
    if not document.spans:
        lines.append("no entities found")
    return "\n".join(lines) + "\n\n"
