"""The same seed on the same machine gives the same weights and the same figures, to the last bit."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

ROOT = Path(__file__).parent.parent
# Everything random in a run: dropout, the order of articles, parts of corpora, other names and spellings.
OPTIONS = "training.epochs=4 training.save_steps=3 training.swap=0.5 training.vary=0.5 data.train.0.weight=1.5".split()


def start(run_config: Path, folder: Path, seed: str, *more: str) -> "subprocess.Popen[bytes]":
    """A run in a process of its own; `seed` is that of Python's hashes, by which sets are ordered."""
    command = [sys.executable, "-m", "train", str(run_config), f"output={folder / 'run'}", *OPTIONS, *more]
    environment = {**os.environ, "PYTHONHASHSEED": seed}
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=(folder.parent / "log").open("ab")
    )


def result(folder: Path) -> dict[str, Any]:
    """Digests of what a run left, and its figures."""
    best = folder / "run" / "best"
    found: dict[str, Any] = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(best.iterdir())
    }
    return {**found, "metrics": json.loads((folder / "run" / "metrics.json").read_text(encoding="utf-8"))}


@pytest.fixture(scope="module")
def whole(run_config: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("whole")
    assert start(run_config, folder, "1").wait(300) == 0, (folder.parent / "log").read_text()
    return result(folder)


def test_another_process_gives_the_same(whole: dict[str, Any], run_config: Path, tmp_path: Path) -> None:
    assert start(run_config, tmp_path, "2").wait(300) == 0
    assert result(tmp_path) == whole


def test_a_killed_run_gives_the_same(whole: dict[str, Any], run_config: Path, tmp_path: Path) -> None:
    process = start(run_config, tmp_path, "3")
    deadline = time.monotonic() + 300
    while not (tmp_path / "run" / "states" / "checkpoint-6" / "trainer_state.json").is_file():
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert start(run_config, tmp_path, "4", "--resume").wait(300) == 0
    assert result(tmp_path) == whole


def test_another_seed_gives_other_weights(whole: dict[str, Any], run_config: Path, tmp_path: Path) -> None:
    assert start(run_config, tmp_path, "1", "training.seed=14").wait(300) == 0
    assert result(tmp_path)["model.safetensors"] != whole["model.safetensors"]
