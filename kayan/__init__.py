"""Named entities in Arabic news: train, judge and use token classifiers, exact to the character."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kayan.checkpoint import CheckpointError as CheckpointError
    from kayan.document import Document as Document
    from kayan.document import DocumentError as DocumentError
    from kayan.document import Span as Span
    from kayan.entities import Entity as Entity
    from kayan.formats import FormatError as FormatError
    from kayan.schema import Declaration as Declaration
    from kayan.schema import Schema as Schema
    from kayan.schema import SchemaError as SchemaError
    from kayan.tagger import Tagger as Tagger

__version__ = "0.1.0"

# Imported when first asked for, so that `kayan --help` waits for none of them.
_HOMES = {
    "CheckpointError": "checkpoint",
    "Declaration": "schema",
    "Document": "document",
    "DocumentError": "document",
    "Entity": "entities",
    "FormatError": "formats",
    "Schema": "schema",
    "SchemaError": "schema",
    "Span": "document",
    "Tagger": "tagger",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'kayan' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"kayan.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
