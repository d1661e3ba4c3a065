"""Text for a terminal: its direction, its control characters, and an article with its mentions marked."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from kayan.document import Document

# Readable on dark and light backgrounds; a type beyond the list starts over.
_COLOURS = ("bright_red", "bright_blue", "green", "magenta", "cyan", "yellow", "bright_green", "bright_magenta")
_ISOLATE, _POP = "\u2068", "\u2069"
# What `kayan.doctor.quoted` writes, or a word: a label, a path without its line number.
_UNIT = re.compile(r"'(?:[^'\\]|\\.)*'|[^\s'():]+")
# Control characters by their pictures (␛); those beyond ASCII have none. Line feeds and tabs stay.
_PICTURES = {code: 0x2400 + code for code in range(0x20) if code not in (0x09, 0x0A)} | {0x7F: 0x2421}
_PICTURES |= dict.fromkeys(range(0x80, 0xA0), 0xFFFD)


def visible(text: str) -> str:
    """The text with its control characters made visible: an article could give orders to the terminal that shows it.

    >>> visible("فاس\x1b[2J")
    'فاس␛[2J'
    """
    return text.replace("\r\n", "\n").translate(_PICTURES)


def isolate(text: str) -> str:
    """The text as a unit of its own direction (Unicode bidi)."""
    return f"{_ISOLATE}{text}{_POP}"


def isolated(text: str) -> str:
    """The text for a line in a terminal: a unit of its own direction (Unicode bidi) where it holds Arabic, since digits
    behind Arabic letters are Arabic numbers (UAX #9, W2), which turn brackets and columns around them.

    >>> isolated("فاس") == "\\u2068فاس\\u2069", isolated("LOC")
    (True, 'LOC')
    """
    turns = any(unicodedata.bidirectional(char) in ("R", "AL") for char in text)
    return isolate(text) if turns else text


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
            head = click.style(f"{label:<6}", fg=paint[label], bold=True) if colour else f"{label:<6}"
            names = " · ".join(
                isolate(visible(name)) + (f" ×{len(scores)}" if len(scores) > 1 else "") + f" {max(scores):.2f}"
                for name, scores in found.items()
            )
            lines.append(f"{head} {names}")
    if not document.spans:
        lines.append("no entities found")
    return "\n".join(lines) + "\n\n"
