import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

pytest.importorskip("torch")

from kayan import Tagger
from train import starter
from train.starter import main, read

ROOT = Path(__file__).parent.parent


def call(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.mark.parametrize("name", sorted(path.name for path in (ROOT / "configs" / "starter").glob("*.yaml")))
def test_the_stages_are_valid_and_take_the_root(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert '"/corpora"' in read(f"configs/starter/{name}", "/corpora").model_dump_json()


def test_stages_name_their_mistakes(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("stage: adopt\n", encoding="utf-8")
    result = call(tmp_path / "a.yaml")
    assert result.exit_code == 2
    assert "a.yaml: stage must be one of backbone, adapt, join, finetune, label, ship, not 'adopt'" in result.output
    (tmp_path / "a.yaml").write_text("stage: adapt\noutput: x\nbackbone: y\nstep: 5\n", encoding="utf-8")
    assert "unknown key 'step'; did you mean 'steps'?" in call(tmp_path / "a.yaml").output


@pytest.fixture
def stages(run_config: Path, corpus_file: Path, tmp_path: Path) -> list[Path]:
    settings = json.loads(run_config.read_text(encoding="utf-8"))
    settings |= {"stage": "finetune", "output": str(tmp_path / "tagger"), "seeds": [1, 2]}
    settings["training"]["epochs"] = 1
    judged = {"title": "tiny", "path": str(corpus_file), "robustness": True}
    shipped = {
        "stage": "ship",
        "output": str(tmp_path / "shipped"),
        "checkpoints": [str(tmp_path / "tagger" / seed / "best") for seed in "12"],
        "reports": str(tmp_path / "reports"),
        "evaluate": [judged],
    }
    paths = []
    for i, stage in enumerate((settings, shipped)):
        paths.append(tmp_path / f"{i}.yaml")
        paths[-1].write_text(yaml.safe_dump(stage, allow_unicode=True), encoding="utf-8")
    return paths


def test_from_corpora_to_a_shipped_checkpoint(
    stages: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    result = call(*stages)
    assert result.exit_code == 0, result.output
    figures = json.loads((tmp_path / "tagger.stage.json").read_text(encoding="utf-8"))["figures"]
    assert figures.keys() == {"1", "2"}
    card = (tmp_path / "shipped" / "README.md").read_text(encoding="utf-8")
    measured = json.loads((tmp_path / "reports" / "1-0" / "metrics.json").read_text(encoding="utf-8"))["data"][0]
    assert f"**{measured['character_span_strict']['micro']['f1']:.3f}**" in card
    assert "2 seeds" in card
    assert "- hamza: " in card
    assert Tagger.load(tmp_path / "shipped")("زار كريم فاس").text == "زار كريم فاس"

    def never(*_: object) -> None:
        raise AssertionError("a stage that is done runs again")

    monkeypatch.setattr(starter.Finetune, "run", never)
    monkeypatch.setattr(starter.Ship, "run", never)
    assert call(*stages).exit_code == 0
    changed = yaml.safe_load(stages[0].read_text(encoding="utf-8")) | {"seeds": [1]}
    stages[0].write_text(yaml.safe_dump(changed, allow_unicode=True), encoding="utf-8")
    result = call(stages[0])
    assert result.exit_code == 2
    assert "was made with other settings (seeds); --again" in result.output


def test_a_checkpoint_too_large_is_not_shipped(stages: list[Path], checkpoint: Path, tmp_path: Path) -> None:
    settings = yaml.safe_load(stages[1].read_text(encoding="utf-8"))
    settings |= {"checkpoints": [str(checkpoint)], "most": 0.0001}
    stages[1].write_text(yaml.safe_dump(settings, allow_unicode=True), encoding="utf-8")
    result = call(stages[1])
    assert result.exit_code == 2
    assert "MB, more than the 0.0001 it may" in result.output
    assert not (tmp_path / "shipped").exists()
