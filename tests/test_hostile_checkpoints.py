"""Checkpoints that lie, are damaged or would run code: refused in one message, before a model is built."""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path
from shutil import copytree
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from kayan import CheckpointError, Tagger
from kayan.checkpoint import inspect
from tests.test_hostile import within


@pytest.fixture
def copy(tmp_path: Path, checkpoint: Path) -> Path:
    return Path(copytree(checkpoint, tmp_path / "copy"))


def edit(path: Path, **changes: Any) -> None:
    data = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**data, **changes}), encoding="utf-8")


def refused(folder: Path, message: str) -> None:
    with within(5), pytest.raises(CheckpointError, match=message):
        Tagger.load(folder)("زار كريم فاس")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_hidden_layers": 100_000}, "num_hidden_layers is 100000, the weights hold 2"),
        ({"num_hidden_layers": 1}, "num_hidden_layers is 1, the weights hold 2"),
        ({"num_hidden_layers": "x"}, "num_hidden_layers cannot be 'x'"),
        ({"hidden_size": 1_000_000}, "hidden_size is 1000000, in the weights 32"),
        ({"vocab_size": 10**9}, "vocab_size is 1000000000, in the weights"),
        ({"intermediate_size": 10**9}, "sizes in its config.json are not those of its weights"),
        ({"max_position_embeddings": 10**9}, "sizes in its config.json are not those of its weights"),
        ({"max_position_embeddings": [1]}, r"max_position_embeddings cannot be \[1\]"),
        ({"num_attention_heads": 0}, "cannot be loaded"),
        ({"pad_token_id": 10**9}, "pad_token_id is 1000000000, the weights embed only"),
        ({"pad_token_id": -5}, "pad_token_id cannot be -5"),
        ({"id2label": [1]}, "no id2label"),
        ({"id2label": {"0": ["O"]}}, "no id2label"),
        ({"id2label": {"-1": "O"}}, r"has the labels \[None\]"),
        ({"model_type": "gpt2"}, "lacks the weights|cannot be loaded"),
        ({"model_type": 5}, "cannot be loaded"),
    ],
)
def test_configurations_that_lie(copy: Path, changes: dict[str, Any], message: str) -> None:
    edit(copy / "config.json", **changes)
    refused(copy, message)


@pytest.mark.parametrize("name", ["config.json", "kayan.json", "tokenizer.json"])
@pytest.mark.parametrize("data", [b"[" * 100_000, b'{"a": ' + b"9" * 5000 + b"}", b"[]", b"null", b"", b"\xff\xfe{}"])
def test_files_of_a_checkpoint_that_are_something_else(copy: Path, name: str, data: bytes) -> None:
    (copy / name).write_bytes(data)
    refused(copy, name)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"types": "PER"}, "types cannot be 'PER'"),
        ({"types": [1, 2]}, r"types cannot be \[1, 2\]"),
        ({"text": []}, r"text cannot be \[\]"),
        ({"text": {"window": 20.5}}, "window must be a whole number of sub-words, not 20.5"),
        ({"text": {"window": 10**9}}, "window must be between 8 and 16384"),
        ({"text": {"profile": ["x"]}}, "unknown text profile"),
        ({"temperature": float("nan")}, "temperature cannot be nan"),
        ({"temperature": 10**400}, "temperature cannot be 1000"),
        ({"trained_on": [5]}, r"trained_on cannot be \[5\]"),
    ],
)
def test_policies_that_are_something_else(copy: Path, changes: dict[str, Any], message: str) -> None:
    edit(copy / "kayan.json", **changes)
    refused(copy, message)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_no_numbers(copy: Path, value: float) -> None:
    tensors = load_file(copy / "model.safetensors")
    tensors["classifier.weight"] = np.full((13, 32), value, np.float32)
    save_file(tensors, copy / "model.safetensors", {"format": "pt"})
    refused(copy, "does not compute 13 finite numbers for each sub-word; its weights or its graph are damaged")


def test_tensors_without_end_or_shape(copy: Path) -> None:
    header = {"classifier.weight": {"dtype": "F32", "shape": [13, 10**12], "data_offsets": [0, 52 * 10**12]}}
    written = json.dumps(header).encode()
    for data in (struct.pack("<Q", len(written)) + written, b"\xff" * 8 + b"{}"):
        (copy / "model.safetensors").write_bytes(data)
        refused(copy, "no intact safetensors file")
    save_file({"classifier.weight": np.array(1, np.float32)}, copy / "model.safetensors", {"format": "pt"})
    refused(copy, "hold no classifier")


def test_a_pickle_is_not_opened(copy: Path, tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    pickle = b"cos\nsystem\n(S'touch " + str(trap).encode() + b"'\ntR."
    for name in ("pytorch_model.bin", "training_args.bin", "kayan_proclitic.pt"):
        (copy / name).write_bytes(pickle)
    edit(copy / "config.json", auto_map={"AutoModelForTokenClassification": "evil.Model", "AutoConfig": "evil.Config"})
    (copy / "evil.py").write_text(f"open({str(trap)!r}, 'w')")
    Tagger.load(copy)("زار كريم فاس")
    assert not trap.exists()
    (copy / "model.safetensors").rename(copy / "model-1.safetensors")
    (copy / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "pytorch_model.bin"}}))
    refused(copy, "index.json must map each weight to one of model-1.safetensors")
    assert not trap.exists()


def test_an_adapter_leads_to_another_model(copy: Path) -> None:
    (copy / "adapter_config.json").write_text('{"base_model_name_or_path": "/elsewhere"}')
    refused(copy, "holds an adapter")


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege")
def test_no_link_leads_out_of_a_checkpoint(copy: Path, tmp_path: Path) -> None:
    for name in ("config.json", "model.safetensors"):
        (copy / name).rename(tmp_path / name)
        (copy / name).symlink_to(tmp_path / name)
        refused(copy, f"{name} is a link that leads out of the checkpoint")
        (copy / name).unlink()
        (tmp_path / name).rename(copy / name)
    # The hub's cache is made of links to a folder of its own.
    cache = tmp_path / "models--x--y"
    (cache / "snapshots").mkdir(parents=True)
    copy.rename(cache / "snapshots" / "abc")
    (cache / "blobs").mkdir()
    for file in sorted((cache / "snapshots" / "abc").iterdir()):
        file.rename(cache / "blobs" / file.name)
        file.symlink_to(Path("../../blobs") / file.name)
    assert inspect(cache / "snapshots" / "abc").policy.schema.types
