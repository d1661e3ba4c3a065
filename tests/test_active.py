import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

pytest.importorskip("torch")

from kayan.annotate import select
from kayan.document import Document
from kayan.formats import jsonl
from kayan.scoring import SpanScorer
from kayan.tagger import Tagger
from tests.conftest import TYPES
from train.active import active, main, plot, points
from train.config import Config, read
from train.curve import with_articles

ROOT = Path(__file__).parent.parent


def run(order: str | None, articles: int, f1: float) -> dict[str, object]:
    sizes = {"articles": articles, "words": articles * 100, "mentions": articles * 9}
    return {"order": order, "seed": 13, **sizes, "f1": f1, "types": {"LOC": f1}}


def test_runs_of_a_point_are_put_together() -> None:
    start, *rest = points([run(None, 0, 0.2), run("random", 5, 0.4), run("random", 5, 0.6), run("uncertainty", 5, 0.7)])
    assert (start["order"], start["f1"]) == (None, 0.2)
    assert [(p["order"], p["seeds"], p["f1"], p["least"], p["most"]) for p in rest] == [
        ("random", 2, 0.5, 0.4, 0.6),
        ("uncertainty", 1, 0.7, 0.7, 0.7),
    ]
    assert rest[0]["types"] == {"LOC": 0.5}


def test_the_plot_is_the_same_each_time(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    runs = [run(None, 0, 0.2), run("random", 5, 0.4), run("uncertainty", 5, 0.7)]
    drawn = []
    for name in ("a.svg", "b.svg"):
        plot({"points": points(runs)}, tmp_path / name)
        drawn.append((tmp_path / name).read_text(encoding="utf-8"))
    assert drawn[0] == drawn[1]
    assert ElementTree.fromstring(drawn[0]).tag.endswith("svg")


def test_the_description_of_the_corpus_stays(run_config: Path, tmp_path: Path, articles: list[Document]) -> None:
    described = tmp_path / "corpus.yaml"
    described.write_text("format: jsonl\nannotates: [PER, LOC]\nproclitics: false\nlabels: {GPE: LOC, X: null}\n")
    data = read(run_config).model_dump()
    data["data"]["train"][0]["corpus"] = str(described)
    single = with_articles(Config.model_validate(data), articles[:2], "tiny", 1, tmp_path)
    said = single.data.train[0].description()
    assert (said.name, said.annotates, said.proclitics, said.labels) == ("tiny", ("PER", "LOC"), False, {"X": None})


def test_what_cannot_be_simulated(run_config: Path, corpus_file: Path, tmp_path: Path) -> None:
    settings, pool = read(run_config), str(corpus_file)
    for steps, orders, message in (
        ([4, 2], ["random"], "steps must grow from 1 to at most 6"),
        ([7], ["random"], "at most 6"),
        ([2], ["length"], "orders must be of uncertainty, random, given, not length"),
    ):
        with pytest.raises(ValueError, match=message):
            active(settings, pool, pool, steps, [1], orders, tmp_path)


def test_a_simulation_goes_on_where_it_was_cut_off(
    run_config: Path, checkpoint: Path, corpus_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    trained: list[list[str]] = []

    def learn(single: Config) -> None:
        # The checkpoint learns nothing; training itself is tested elsewhere.
        trained.append([document.id for document in jsonl.read(single.data.train[0].path)])
        if len(trained) == 3:
            raise RuntimeError("cut off")
        Path(single.output).mkdir(parents=True)
        (Path(single.output) / "best").symlink_to(checkpoint)

    scores = iter([0.2, 0.4, 0.5, 0.3, 0.6])

    def figures(checkpoint: str, test: str, corpus: str | None, out: Path) -> dict[str, object]:
        if not (out / "metrics.json").is_file():
            assert Path(checkpoint).is_dir()
            out.mkdir(parents=True)
            (out / "metrics.json").write_text(str(next(scores)))
        f1 = float((out / "metrics.json").read_text())
        return {"micro": {"f1": f1}, "per_type": {"LOC": {"f1": f1}}}

    monkeypatch.setattr("train.finetune.finetune", learn)
    monkeypatch.setattr("train.active.score", figures)
    arguments = [str(run_config), str(corpus_file), str(corpus_file), f"model.backbone={checkpoint}"]
    arguments += ["--steps", "2,4", "--seeds", "13", "--out", str(tmp_path)]
    cut = CliRunner().invoke(main, arguments)
    assert cut.exit_code == 2
    assert "error: cut off" in cut.output
    written = json.loads((tmp_path / "active.json").read_text(encoding="utf-8"))
    assert [(r["order"], r["articles"]) for r in written["runs"]] == [(None, 0), ("uncertainty", 2), ("uncertainty", 4)]

    whole = CliRunner().invoke(main, arguments)
    assert whole.exit_code == 0, whole.output
    assert len(trained) == 5, "two by uncertainty, one that was cut off and again, and the last"
    assert trained[1][:2] == trained[0], "what was chosen stays"
    assert trained[3] == trained[2], "the draw is the same again"
    assert trained[4][:2] == trained[3]
    result = json.loads((tmp_path / "active.json").read_text(encoding="utf-8"))
    assert [r["f1"] for r in result["runs"]] == [0.2, 0.4, 0.5, 0.3, 0.6]
    assert result["runs"][1]["words"] > 10
    assert (tmp_path / "active.svg").is_file()

    again = CliRunner().invoke(main, arguments)
    assert (again.exit_code, len(trained)) == (0, 5)
    other = CliRunner().invoke(main, [*arguments, "training.epochs=1"])
    assert other.exit_code == 2
    assert "is of another simulation (settings)" in other.output


def scored(checkpoint: str, test: str, corpus: str | None, out: Path) -> dict[str, Any]:
    """What `python -m eval` says, in this process."""
    scorer, gold = SpanScorer(TYPES), jsonl.read(test)
    for one, other in zip(gold, Tagger.load(checkpoint)(gold), strict=True):
        scorer.add(one, other)
    types = {name: counts.to_dict() for name, counts in scorer.per_type().items()}
    return {"micro": scorer.micro().to_dict(), "per_type": types}


def test_a_simulation_trains_and_chooses(
    run_config: Path, corpus_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a plain encoder: the first articles are drawn, the next are those its fine-tuned checkpoint is uncertain of."""
    monkeypatch.setattr("train.curve.LEAST_STEPS", 10)
    monkeypatch.setattr("train.active.score", scored)
    settings, pool = read(run_config), str(corpus_file)
    result = active(settings, pool, pool, [2, 3], [1], ["uncertainty"], tmp_path)
    assert [run["articles"] for run in result["runs"]] == [2, 3]
    assert not result["first"]
    assert all(0 <= run["f1"] <= 1 for run in result["runs"])
    first, second = (jsonl.read(tmp_path / "uncertainty-1" / name / "train.jsonl") for name in ("2", "2-3"))
    bare = [document for document in jsonl.read(corpus_file) if document not in first]
    tagger = Tagger.load(tmp_path / "uncertainty-1" / "2" / "run" / "best")
    [chosen] = select(bare, 1, tagger, annotated=first).documents
    assert [*first, chosen] == second
