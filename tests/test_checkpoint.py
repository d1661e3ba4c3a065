import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from kayan import CheckpointError, Tagger
from kayan import checkpoint as checkpoints
from kayan.checkpoint import PROCLITIC_FILE, STARTER, inspect, position_limit, recalibrate, resolve


@pytest.fixture
def copy(tmp_path: Path, checkpoint: Path) -> Path:
    return Path(shutil.copytree(checkpoint, tmp_path / "copy"))


def edit(path: Path, **changes: Any) -> None:
    data = json.loads(path.read_text(encoding="utf-8"))
    for key, value in changes.items():
        if value is None:
            del data[key]
        else:
            data[key] = value
    path.write_text(json.dumps(data), encoding="utf-8")


def refused(folder: Path, message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        inspect(folder)


def test_an_intact_checkpoint_passes(copy: Path) -> None:
    assert inspect(copy).policy.schema.types[0] == "PER"


def test_its_tokenizer_is_read_once(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []
    tokenizer = checkpoints._tokenizer
    monkeypatch.setattr(checkpoints, "_tokenizer", lambda file: read.append(file) or tokenizer(file))
    assert Tagger.load(copy)("").spans == ()
    assert read == [copy / "tokenizer.json"]


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "kayan.json", "model.safetensors", PROCLITIC_FILE])
def test_a_missing_file_is_named(copy: Path, name: str) -> None:
    (copy / name).unlink()
    refused(copy, f"has no {name}")


def test_pickled_weights_are_refused_unopened(copy: Path) -> None:
    (copy / "model.safetensors").unlink()
    (copy / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'exit 1'\ntR.")
    refused(copy, r"pickled weights \(pytorch_model.bin\).*safetensors")


def test_a_checkpoint_without_labels(copy: Path) -> None:
    edit(copy / "config.json", id2label=None)
    refused(copy, "no id2label")


def test_other_labels_and_another_order(copy: Path) -> None:
    labels = json.loads((copy / "config.json").read_text())["id2label"]
    edit(copy / "config.json", id2label={**labels, "0": "X"})
    refused(copy, "has the labels")
    edit(copy / "config.json", id2label={**labels, "1": labels["2"], "2": labels["1"]})
    refused(copy, "another order")


def test_weights_for_another_number_of_labels(copy: Path) -> None:
    tensors = load_file(copy / "model.safetensors")
    tensors["classifier.weight"] = np.zeros((9, 32), dtype=np.float32)
    save_file(tensors, copy / "model.safetensors", metadata={"format": "pt"})
    refused(copy, "a classifier for 9 labels, the policy has 13 tags")


def test_a_tokenizer_that_is_too_big(copy: Path) -> None:
    tensors = load_file(copy / "model.safetensors")
    name = "bert.embeddings.word_embeddings.weight"
    tensors[name] = tensors[name][:20].copy()
    save_file(tensors, copy / "model.safetensors", metadata={"format": "pt"})
    refused(copy, "embed only 20")


def test_a_window_beyond_the_positions(copy: Path) -> None:
    edit(copy / "kayan.json", text={"profile": "light", "window": 200, "stride": 8})
    refused(copy, "window of 200 sub-words is longer than the model's 128 positions")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"types": None}, "has no 'types'"),
        ({"text": {"profile": "lite"}}, "lite"),
        ({"text": {"profile": "light", "windows": 3}}, "windows"),
        ({"format": 2}, "format 2"),
        ({"temperature": 0}, "positive"),
        ({"threshold": 1.2}, "between 0 and 1"),
    ],
)
def test_a_policy_that_cannot_be_read(copy: Path, changes: dict[str, Any], message: str) -> None:
    edit(copy / "kayan.json", **changes)
    refused(copy, message)


def test_broken_files(copy: Path) -> None:
    (copy / "model.safetensors").write_bytes(b"broken")
    refused(copy, "no intact safetensors")
    (copy / "kayan.json").write_text("{")
    refused(copy, "kayan.json is broken")
    refused(copy / "nowhere", "is no checkpoint folder")


def test_a_checkpoint_without_a_threshold_keeps_all(copy: Path) -> None:
    policy = json.loads((copy / "kayan.json").read_text(encoding="utf-8"))
    del policy["threshold"]
    (copy / "kayan.json").write_text(json.dumps(policy), encoding="utf-8")
    assert inspect(copy).policy.threshold == 0.0


def test_the_temperature_is_stored(copy: Path) -> None:
    recalibrate(copy, 1.7, 0.4)
    assert (inspect(copy).policy.temperature, inspect(copy).policy.threshold) == (1.7, 0.4)


def test_position_limits() -> None:
    assert position_limit({"model_type": "bert", "max_position_embeddings": 512}) == 512
    assert position_limit({"model_type": "xlm-roberta", "max_position_embeddings": 514, "pad_token_id": 1}) == 512
    assert (
        position_limit({"model_type": "deberta-v2", "max_position_embeddings": 512, "position_biased_input": False})
        is None
    )
    assert position_limit({"model_type": "x"}) is None


def test_resolve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolve(None) == resolve("starter") == STARTER
    assert resolve(tmp_path) == tmp_path
    assert resolve("./runs/none") == Path("runs/none")
    huggingface_hub = pytest.importorskip("huggingface_hub")
    asked = []

    def fetch(name: str, **options: Any) -> str:
        asked.append((name, options["allow_patterns"]))
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetch)
    assert resolve("someone/model") == tmp_path
    assert not any(pattern in asked[0][1] for pattern in ("*.bin", "*.py", "*"))

    def fail(name: str, **options: Any) -> str:
        raise OSError("no such repository")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    with pytest.raises(CheckpointError, match=r"someone/model is no folder here.*no such repository"):
        resolve("someone/model")
