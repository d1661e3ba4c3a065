"""The configuration of a run: read from YAML with dotted overrides, every mistake named with its place."""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from kayan.corpus import Description, read_description
from kayan.encoding import TextPolicy
from kayan.schema import Schema

Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, lt=1)]


class ConfigError(ValueError):
    """A configuration that cannot be used; the message names the file, the key and what is accepted."""


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


Kind = TypeVar("Kind", bound=Section)


class Model(Section):
    # "starter" is the checkpoint inside the package; otherwise a folder or a Hugging Face hub id.
    backbone: str
    proclitics: bool = True
    # None: what the backbone's own configuration says.
    dropout: Share | None = None
    attention_dropout: Share | None = None
    # How attention is computed: None leaves it to the library (fused kernels). On a CPU "eager" takes less time a step for
    # small encoders, at the price of memory that grows with the square of the window.
    attention: Literal["eager", "sdpa"] | None = None


class Text(Section):
    profile: str = "light"
    window: int = 256
    stride: int = 64

    @model_validator(mode="after")
    def _valid(self) -> Text:
        self.policy()
        return self

    def policy(self) -> TextPolicy:
        return TextPolicy(self.profile, self.window, self.stride)


def under(path: str, root: str) -> Path:
    """`path` below `root`; "./…" below the working directory."""
    return Path(path) if path.startswith("./") else Path(root) / path


class CorpusFile(Section):
    # Relative to data.root; "./…" to the working directory always.
    path: str
    # What the corpus annotates (see `kayan.corpus.Description`): a YAML file, which evaluation can use too, or the keys.
    corpus: str | dict[str, Any] = {}
    # Rows a training epoch takes of the corpus: 0.5 is a random half, 2 is all of it twice.
    weight: Positive = 1.0

    @model_validator(mode="after")
    def _valid(self) -> CorpusFile:
        self.description()
        return self

    def under(self, root: str) -> Path:
        return under(self.path, root)

    def description(self) -> Description:
        if isinstance(self.corpus, str):
            return read_description(self.corpus)
        return Description.from_mapping(self.corpus, f"corpus of {self.path}")


class Data(Section):
    # Put before relative corpus paths; the default is the working directory.
    root: str = "."
    train: Annotated[list[CorpusFile], Field(min_length=1)]
    validation: Annotated[list[CorpusFile], Field(min_length=1)]
    # Folder that keeps encoded training windows for other runs on the same articles, which find them by all that they were
    # made from; it may be deleted at any time. None: the run's own folder, until the run is done.
    cache: str | None = None
    # PER, LOC or ORG → text files with one name a line: `training.swap` puts them in too.
    names: dict[Literal["PER", "LOC", "ORG"], list[str]] = {}


class Training(Section):
    epochs: Positive = 5.0
    batch_size: Annotated[int, Field(ge=1)] = 16
    gradient_accumulation: Annotated[int, Field(ge=1)] = 1
    learning_rate: Positive = 5e-5
    # None: that of the encoder.
    head_learning_rate: Positive | None = None
    # Each layer below the top learns this much slower than the one above; 1 switches it off.
    layer_decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    warmup: Share = 0.1
    schedule: Literal["linear", "cosine", "constant_with_warmup"] = "linear"
    max_grad_norm: Positive = 1.0
    label_smoothing: Share = 0.0
    # The part of an epoch's articles that are perturbed, each in one way of `kayan.perturb`.
    vary: Share = 0.0
    # The part in which names are exchanged for others of their type from the training corpora (`train.swap`).
    swap: Share = 0.0
    # Type → weight of its words in the loss; "O" may be named too.
    class_weights: dict[str, Positive] = {}
    # Evaluations without a better span-F1 before training stops; None: never.
    patience: Annotated[int, Field(ge=1)] | None = None
    # Optimiser steps between resumable states; None: one at the end of each epoch.
    save_steps: Annotated[int, Field(ge=1)] | None = None
    # "auto": bfloat16 where the processor computes in it.
    bf16: bool | Literal["auto"] = "auto"
    half: bool = False
    seed: int = 13


class Debug(Section):
    # Learn one batch by heart and stop: a model, loss or label mistake shows in a minute.
    overfit: bool = False
    steps: Annotated[int, Field(ge=1)] = 200
    # Articles taken of each corpus; None: all.
    articles: Annotated[int, Field(ge=1)] | None = None


class Config(Section):
    output: str
    types: list[str] = ["PER", "ORG", "LOC", "EVENT", "DATE", "MISC"]
    model: Model
    text: Text = Text()
    data: Data
    training: Training = Training()
    debug: Debug = Debug()

    @property
    def schema_(self) -> Schema:
        return Schema(tuple(self.types))

    @model_validator(mode="after")
    def _valid(self) -> Config:
        schema = self.schema_
        for label in self.training.class_weights:
            if label != "O":
                schema.check(label)
        return self


def read(path: str | Path, overrides: Sequence[str] = ()) -> Config:
    """The configuration of a run; see `read_as`."""
    return read_as(Config, path, overrides)


def read_as(kind: type[Kind], path: str | Path, overrides: Sequence[str] = ()) -> Kind:
    """The configuration in a YAML file, with `section.key=value` overrides; values are YAML too.

    Raises `ConfigError` for a file that cannot be read, an unknown key (naming the nearest known one), a value of the
    wrong kind, or an override without "=".
    """
    data = raw(path)
    for override in overrides:
        key, equals, value = override.partition("=")
        if not equals or not key:
            raise ConfigError(f"override {override!r} must look like section.key=value")
        try:
            _set(data, key.split("."), yaml.safe_load(value))
        except (yaml.YAMLError, LookupError, TypeError, ValueError, RecursionError) as error:
            raise ConfigError(f"override {override!r}: {str(error).splitlines()[0]}") from None
    return _validated(data, path, kind)


def raw(path: str | Path) -> dict[str, Any]:
    """The mapping in a YAML file, unchecked. Raises `ConfigError`."""
    try:
        data = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except (
        yaml.YAMLError,
        ValueError,
        RecursionError,
    ) as error:  # ValueError: a date or a number that is none, or no UTF-8.
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        raise ConfigError(f"{where}: broken YAML: {getattr(error, 'problem', None) or error}") from None
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: a mapping of sections is expected, found {type(data).__name__}")
    return data


def _set(data: Any, keys: Sequence[str], value: Any) -> None:
    for i, key in enumerate(keys):
        index: Any = int(key) if isinstance(data, list) and key.isdigit() else key
        if isinstance(data, list) and not isinstance(index, int):
            raise LookupError(f"{'.'.join(keys[:i])} is a list; {key!r} must be a number")
        if i == len(keys) - 1:
            data[index] = value
            return
        if isinstance(data, dict) and data.get(index) is None:
            data[index] = {}
        data = data[index]
        if not isinstance(data, dict | list):
            raise LookupError(f"{'.'.join(keys[: i + 1])} is a value, not a section")


def _validated(data: Any, path: str | Path, kind: type[Kind]) -> Kind:
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        told = (_explain(item, kind) for item in error.errors())
        raise ConfigError(f"{path}: " + "\n  ".join(told)) from None


def _explain(item: Any, kind: type[Section]) -> str:
    location = item["loc"]
    where = ".".join(map(str, location))
    if item["type"] == "extra_forbidden":
        known = list(_fields_at(location[:-1], kind))
        near = difflib.get_close_matches(str(location[-1]), known, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"
        return f"unknown key {where!r}; {hint}"
    if item["type"] == "missing":
        return f"{where!r} is required"
    message = item["msg"].removeprefix("Value error, ")
    return f"{where}: {message[0].lower()}{message[1:]}, not {reprlib.repr(item['input'])}" if where else message


def _fields_at(location: Sequence[Any], kind: Any) -> dict[str, Any]:
    for part in location:
        if isinstance(part, str) and part in kind.model_fields:
            kind = kind.model_fields[part].annotation
            while not hasattr(kind, "model_fields"):
                arguments = [argument for argument in get_args(kind) if argument is not type(None)]
                if not arguments:
                    return {}
                kind = arguments[0]
    return dict(kind.model_fields)
