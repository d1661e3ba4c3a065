import json
from pathlib import Path

import pytest
from click.testing import CliRunner

pytest.importorskip("torch")

from kayan.formats import jsonl
from train.config import read
from train.curve import main, subset

ROOT = Path(__file__).parent.parent


def test_smaller_sets_are_parts_of_larger_ones(run_config: Path, tmp_path: Path) -> None:
    settings = read(run_config)
    texts = {}
    for size in (2, 4):
        small = subset(settings, size, 1, tmp_path / str(size))
        texts[size] = [document.text for document in jsonl.read(small.data.train[0].path)]
        assert len(texts[size]) == size
    assert texts[4][:2] == texts[2]
    assert small.training.epochs == 30, "two steps an epoch, sixty steps"
    with pytest.raises(ValueError, match=r"99 articles are asked for.* has 6"):
        subset(settings, 99, 1, tmp_path)


def test_the_curve_is_written_and_not_trained_twice(
    run_config: Path, checkpoint: Path, corpus_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    arguments = [str(run_config), str(corpus_file), f"model.backbone={checkpoint}", "text.window=32", "text.stride=8"]
    arguments += ["--sizes", "0,3", "--out", str(tmp_path)]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    points = json.loads((tmp_path / "curve.json").read_text(encoding="utf-8"))["points"]
    assert [point["articles"] for point in points] == [0, 3]
    assert points[1]["f1"] > points[0]["f1"]

    monkeypatch.setattr("train.finetune.finetune", None)
    again = CliRunner().invoke(main, arguments)
    assert again.exit_code == 0
    assert result.stdout.endswith(again.stdout)
