"""A checkpoint folder: the text policy it carries, and every check on it that needs no runtime."""

from __future__ import annotations

import hashlib
import json
import math
import re
import reprlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from tokenizers import Tokenizer

from kayan.encoding import Encoder, TextPolicy
from kayan.formats import write_json
from kayan.schema import Schema
from kayan.words import MAX_PARTICLES

POLICY_FILE = "kayan.json"
PROCLITIC_FILE = "kayan_proclitic.safetensors"
FORMAT = 1
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
# Of encoders whose weights do not number their layers.
_MOST_LAYERS = 100
STARTER = Path(__file__).parent / "starter"


class CheckpointError(ValueError):
    """A checkpoint that cannot be used; the message says which file or field, and what to do."""


@dataclass(frozen=True)
class Policy:
    """What a checkpoint knows beside its weights; the content of `kayan.json`.

    text: how text becomes sub-words. temperature: divides the logits for calibrated scores; threshold: mentions that score
    less are left out unless another is asked for; both fitted on validation.
    trained_on: one entry a corpus, with name, sha256 and licence.
    """

    schema: Schema
    text: TextPolicy = field(default_factory=TextPolicy)
    proclitics: bool = True
    temperature: float = 1.0
    threshold: float = 0.0
    version: str = ""
    trained_on: tuple[Mapping[str, Any], ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "types": list(self.schema.types),
            "scheme": "IOB2",
            "text": self.text.to_dict(),
            "proclitics": self.proclitics,
            "temperature": self.temperature,
            "threshold": self.threshold,
            "version": self.version,
            "trained_on": [dict(entry) for entry in self.trained_on],
        }

    @classmethod
    def from_json(cls, data: Any, where: str) -> Policy:
        """The policy in `data`; `CheckpointError` naming the missing or wrong field."""
        if not isinstance(data, dict):
            raise CheckpointError(f"{where} must hold an object")
        for key in ("format", "types", "scheme", "text", "proclitics", "temperature"):
            if key not in data:
                raise CheckpointError(f"{where} has no {key!r}; it must come from kayan's training program")
        if data["format"] != FORMAT or data["scheme"] != "IOB2":
            raise CheckpointError(
                f"{where} has format {data['format']!r} and scheme {data['scheme']!r}; this version of kayan reads format "
                f"{FORMAT} and IOB2"
            )
        try:
            _expect(data, "types", lambda value: isinstance(value, list) and all(isinstance(x, str) for x in value))
            _expect(data, "text", lambda value: isinstance(value, dict))
            _expect(
                data, "trained_on", lambda value: isinstance(value, list) and all(isinstance(x, dict) for x in value)
            )
            for key in ("temperature", "threshold"):
                _expect(data, key, lambda value: isinstance(value, int | float) and abs(value) < 1e300)
            unknown = set(data["text"]) - {item.name for item in fields(TextPolicy)}
            if unknown:
                raise ValueError(f"unknown text setting {sorted(unknown)}")
            temperature = float(data["temperature"])
            if not temperature > 0:
                raise ValueError(f"temperature must be positive, not {temperature}")
            # Checkpoints of version 0.1 have none.
            threshold = float(data.get("threshold", 0.0))
            if not 0 <= threshold <= 1:
                raise ValueError(f"threshold must be a probability between 0 and 1, not {threshold}")
            return cls(
                Schema(tuple(data["types"])),
                TextPolicy(**data["text"]),
                bool(data["proclitics"]),
                temperature,
                threshold,
                str(data.get("version", "")),
                tuple(data.get("trained_on", ())),
            )
        except (TypeError, ValueError) as error:
            raise CheckpointError(f"{where}: {error}") from None


def _expect(data: Mapping[str, Any], key: str, fits: Callable[[Any], bool]) -> None:
    if key in data and not fits(data[key]):
        raise ValueError(f"{key} cannot be {reprlib.repr(data[key])}")


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint folder that has been looked at, its weights not yet read."""

    path: Path
    policy: Policy
    config: dict[str, Any]
    # Numbers in its weights, the proclitic head included.
    parameters: int
    tokenizer: Tokenizer = field(repr=False, compare=False)

    def encoder(self) -> Encoder:
        try:
            return Encoder(self.tokenizer, self.policy.text, int(self.config.get("pad_token_id") or 0))
        except ValueError as error:
            raise CheckpointError(f"{self.path / 'tokenizer.json'} cannot be used: {error}") from None


def inspect(path: str | Path) -> Checkpoint:
    """Check a checkpoint folder without reading its weights or importing a runtime.

    Raises `CheckpointError` naming what is missing, mismatched or pickled: the folder itself, `config.json`,
    `tokenizer.json`, `kayan.json`, safetensors weights, labels that are not those of the policy in its order, a window
    longer than the model's positions, a proclitic head that the policy promises, weights of other sizes, a link that
    leads out of the folder.
    """
    path = Path(path)
    shards = _weights(path)
    config, policy = _config(path), Policy.from_json(_json(path / POLICY_FILE), str(path / POLICY_FILE))
    _check_labels(path, config, policy)
    _check_window(path, config, policy)
    if policy.proclitics and not (path / PROCLITIC_FILE).is_file():
        raise CheckpointError(f"{path} has no {PROCLITIC_FILE}, though its {POLICY_FILE} promises a proclitic head")
    shapes = _shapes([*shards, *([path / PROCLITIC_FILE] if policy.proclitics else [])])
    width = _check_heads(path, policy, shapes)
    tokenizer = _tokenizer(path / "tokenizer.json")
    _check_sizes(path, config, shapes, width, tokenizer.get_vocab_size())
    return Checkpoint(path, policy, config, sum(math.prod(shape) for shape in shapes.values()), tokenizer)


def _weights(path: Path) -> list[Path]:
    """The files of weights in a folder that has all that a checkpoint needs and nothing that could run code."""
    if not path.is_dir():
        raise CheckpointError(f"{path} is no checkpoint folder")
    _check_links(path)
    if (path / "adapter_config.json").exists():
        # The library would load the model that it names instead of this one.
        raise CheckpointError(f"{path} holds an adapter; merge it into its model and save that")
    shards = sorted(file for file in path.glob("model*.safetensors") if file.is_file())
    pickles = [
        file.name for file in sorted(path.iterdir()) if file.suffix in _PICKLES and file.name != "training_args.bin"
    ]
    if not shards:
        if pickles:
            raise CheckpointError(
                f"{path} holds pickled weights ({', '.join(pickles)}), which can run code when opened; kayan reads only "
                "safetensors: save the model again with save_pretrained(safe_serialization=True)"
            )
        raise CheckpointError(f"{path} has no model.safetensors")
    for name in ("config.json", "tokenizer.json", POLICY_FILE):
        if not (path / name).is_file():
            hint = "; it is not a checkpoint that kayan trained" if name == POLICY_FILE else ""
            raise CheckpointError(f"{path} has no {name}{hint}")
    index = path / "model.safetensors.index.json"
    if not (path / "model.safetensors").is_file():
        listed = _json(index) if index.is_file() else {}
        named = listed.get("weight_map") if isinstance(listed, dict) else None
        if not isinstance(named, dict) or not all(name in {file.name for file in shards} for name in named.values()):
            raise CheckpointError(f"{index} must map each weight to one of {', '.join(file.name for file in shards)}")
    return shards


def _config(path: Path) -> dict[str, Any]:
    config = _json(path / "config.json")
    if not isinstance(config, dict):
        raise CheckpointError(f"{path / 'config.json'} must hold an object")
    for key in ("max_position_embeddings", "pad_token_id", "num_hidden_layers"):
        if not (config.get(key) is None or (type(config[key]) is int and 0 <= config[key] < 1 << 31)):
            raise CheckpointError(f"{path / 'config.json'}: {key} cannot be {reprlib.repr(config[key])}")
    return config


def _tokenizer(file: Path) -> Tokenizer:
    try:
        return Tokenizer.from_file(str(file))
    except Exception as error:  # tokenizers raises nothing more exact
        raise CheckpointError(f"{file} is no tokenizer: {error}") from None


def _check_links(path: Path) -> None:
    """Refuse links that lead out of the folder, since a copy or an error message would hand out what they lead to; the
    hub's cache keeps its files in a folder of its own."""
    home = path.resolve()
    homes = [home, home.parent.parent / "blobs"] if home.parent.name == "snapshots" else [home]
    for file in path.rglob("*"):
        if file.is_symlink() and not any(file.resolve().is_relative_to(one) for one in homes):
            raise CheckpointError(f"{file} is a link that leads out of the checkpoint; put the file itself there")


def _check_labels(path: Path, config: Mapping[str, Any], policy: Policy) -> None:
    raw = config.get("id2label")
    if not isinstance(raw, dict) or not raw or not all(isinstance(tag, str) for tag in raw.values()):
        raise CheckpointError(
            f"{path / 'config.json'} has no id2label that maps numbers to labels, so the model's labels are not known"
        )
    tags = [raw.get(str(i)) for i in range(len(raw))]
    if set(tags) != set(policy.schema.tags):
        raise CheckpointError(
            f"{path / 'config.json'} has the labels {tags}, {POLICY_FILE} the types {' '.join(policy.schema.types)}"
        )
    if tuple(tags) != policy.schema.tags:
        raise CheckpointError(f"{path / 'config.json'} has the right labels in another order: {tags}")


def _check_window(path: Path, config: Mapping[str, Any], policy: Policy) -> None:
    limit = position_limit(config)
    if limit is not None and policy.text.window > limit:
        raise CheckpointError(
            f"{path}: the window of {policy.text.window} sub-words is longer than the model's {limit} positions"
        )


def _check_heads(path: Path, policy: Policy, shapes: Mapping[str, Sequence[int]]) -> int:
    """That the weights classify what the policy says; returns the width of the encoder."""
    head = next((shape for name, shape in shapes.items() if name.endswith("classifier.weight")), None)
    if head is None or len(head) != 2 or head[0] != len(policy.schema.tags):
        found = "no classifier" if head is None or len(head) != 2 else f"a classifier for {head[0]} labels"
        raise CheckpointError(f"{path}: the weights hold {found}, the policy has {len(policy.schema.tags)} tags")
    size = shapes.get("proclitic.weight")
    if policy.proclitics and (size is None or size != [MAX_PARTICLES + 1, head[1]]):
        raise CheckpointError(f"{path / PROCLITIC_FILE} holds no head for 0 to {MAX_PARTICLES} particles")
    return head[1]


def _check_sizes(
    path: Path, config: Mapping[str, Any], shapes: Mapping[str, Sequence[int]], width: int, vocabulary: int
) -> None:
    """That configuration, tokenizer and weights are of one model."""
    rows = next((s[0] for n, s in shapes.items() if n.endswith("word_embeddings.weight") and s), None)
    if rows is not None and rows < vocabulary:
        raise CheckpointError(f"{path}: the tokenizer has {vocabulary} entries, the weights embed only {rows}")
    if rows is not None and (config.get("pad_token_id") or 0) >= rows:
        raise CheckpointError(f"{path}: pad_token_id is {config['pad_token_id']}, the weights embed only {rows}")
    # A library would build as many layers as it is told before it misses their weights, and pass over those it is not told of.
    layers = len({match[1] for name in shapes if (match := re.search(r"\.layers?\.(\d+)\.", name))})
    told = config.get("num_hidden_layers")
    if told is not None and (told != layers if layers else told > _MOST_LAYERS):
        raise CheckpointError(f"{path / 'config.json'}: num_hidden_layers is {told}, the weights hold {layers}")
    for key, held in (("hidden_size", width), ("vocab_size", rows)):
        if held is not None and config.get(key, held) != held:
            raise CheckpointError(
                f"{path / 'config.json'}: {key} is {reprlib.repr(config[key])}, in the weights {held}"
            )


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:  # No UTF-8, no JSON, a number or nesting without end.
        raise CheckpointError(f"{path} is broken: {error}") from None


def _shapes(files: Sequence[Path]) -> dict[str, list[int]]:
    shapes = {}
    for file in files:
        try:
            with safe_open(file, framework="np") as tensors:
                for name in tensors.keys():  # noqa: SIM118 (a safetensors handle is no mapping)
                    shapes[name] = tensors.get_slice(name).get_shape()
        except (SafetensorError, OSError) as error:
            raise CheckpointError(f"{file} is no intact safetensors file: {error}") from None
    return shapes


def position_limit(config: Mapping[str, Any]) -> int | None:
    """The longest input, in sub-words with special tokens, that the model's positions really allow.

    RoBERTa and its kin count positions from the padding index on, so 514 rows serve 512 sub-words. None where positions
    are relative or the config says nothing; `model_max_length` of tokenizers is not asked, since it may be 1e30.
    """
    rows = config.get("max_position_embeddings")
    if rows is None or config.get("position_biased_input") is False:
        return None
    if config.get("model_type") in {"roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "mpnet", "longformer"}:
        return int(rows) - int(config.get("pad_token_id") or 1) - 1
    return int(rows)


def resolve(path_or_hub_id: str | Path | None, *, revision: str | None = None, **hub: Any) -> Path:
    """The checkpoint folder: None is the embedded starter, an existing path itself, else a Hugging Face hub id.

    A hub id may name its revision: "org/name@v1.0". hub: `token`, `cache_dir` and `local_files_only` of `kayan.hub.fetch`.
    Raises `CheckpointError` when it cannot be had, `ValueError` for a revision of what is not on the hub.
    """
    name = str(path_or_hub_id)
    path = STARTER if path_or_hub_id is None or name == "starter" else Path(name)
    if path.exists() or name.count("/") != 1 or name.startswith((".", "/", "~")) or name.endswith("/"):
        if revision is not None:
            raise ValueError(f"revision {revision!r} is asked for, but {path} is no id on the hub, ORG/NAME")
        return path
    from kayan.hub import fetch

    repo_id, _, named = name.partition("@")
    if named and revision not in (None, named):
        raise ValueError(f"{name} names its revision, and revision {revision!r} is asked for too")
    return fetch(repo_id, revision=revision or named or None, **hub)


def save_policy(folder: str | Path, policy: Policy) -> None:
    """Write `kayan.json` into a checkpoint folder, replacing the one there."""
    write_json(Path(folder) / POLICY_FILE, policy.to_json())


def weights_digest(folder: Path) -> str:
    """SHA-256 of the weights of a checkpoint folder, those of the proclitic head the last."""
    whole = hashlib.sha256()
    head = folder / PROCLITIC_FILE
    for path in [*sorted(folder.glob("model*.safetensors")), *([head] if head.is_file() else [])]:
        with path.open("rb") as file:
            whole.update(hashlib.file_digest(file, "sha256").digest())
    return whole.hexdigest()


def recalibrate(folder: str | Path, temperature: float, threshold: float) -> None:
    """Store another temperature and threshold in a saved checkpoint."""
    save_policy(folder, replace(inspect(folder).policy, temperature=temperature, threshold=threshold))
