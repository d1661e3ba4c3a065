"""The benchmark measures what it says, and its ratios are taken within a round."""

import json
import shutil
from pathlib import Path

import pytest

import kayan.tagger
from eval import speed
from kayan.corpus import Corpus
from kayan.decoding import decode
from kayan.document import Document
from kayan.formats import jsonl
from tests.conftest import TYPES
from train.config import read
from train.finetune import finetune

EMPTY = {
    "machine": dict.fromkeys(("processor", "cores", "torch", "transformers", "onnxruntime"), ""),
    **{"checkpoint": "", "parameters": 0, "articles": 0, "words": 0, "rounds": 1, "tagging": {}, "differences": {}},
}


@pytest.fixture(scope="module")
def with_one_graph(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("speed") / "tiny"
    shutil.copytree(exported, folder)
    (folder / "model.int8.onnx").unlink()
    return folder


def test_one_measurement(with_one_graph: Path, articles: list[Document], tmp_path: Path) -> None:
    jsonl.write(tmp_path / "articles.jsonl", articles)
    job = {"checkpoint": str(with_one_graph), "articles": str(tmp_path / "articles.jsonl")}
    one, other = (speed._measure({**job, "system": name}) for name in ("onnx float32", speed.REFERENCE))
    assert one["spans"] == other["spans"]
    assert any(one["spans"])
    assert one["words_per_second"] * one["seconds"] == pytest.approx(sum(len(d.text.split()) for d in articles))
    assert len(one["alone_ms"]) == len(articles)
    usual = speed._measure({**job, "system": speed.BASELINE})
    assert usual["seconds"] > 0
    assert usual["stages"] is None
    assert tuple(one["stages"]) == speed.STAGES
    assert sum(one["stages"].values()) == pytest.approx(1)
    assert all(share > 0 for share in one["stages"].values())
    assert kayan.tagger.decode is decode, "the clocks are taken off again"
    assert speed.systems(with_one_graph) == [name for name in speed.SYSTEMS if name != "onnx int8"]


def test_ratios_within_rounds_and_differences_by_name(
    with_one_graph: Path, articles: list[Document], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jsonl.write(tmp_path / "articles.jsonl", articles)
    spans = [[[4, 7, "PER"]], *[[]] * (len(articles) - 1)]
    asked = []

    def apart(job: dict) -> dict:  # type: ignore[type-arg]
        asked.append(job["system"])
        # The machine is twice as slow in the second round, for everybody.
        pace = (10 if "pipeline" in job["system"] else 30) / (1 if len(asked) <= 5 else 2)
        found = spans if job["system"] != "onnx float32" else [*spans[:-1], [[0, 3, "LOC"]]]
        return {
            "words_per_second": pace,
            "seconds": 1.0,
            "ready_seconds": 1.0,
            "alone_ms": [1000 / pace],
            "peak_megabytes": 5.0,
            "stages": None if "pipeline" in job["system"] else dict.fromkeys(speed.STAGES, len(asked) / 100),
            "spans": found,
        }

    monkeypatch.setattr(speed, "_apart", apart)
    result = speed.run(str(with_one_graph), str(tmp_path / "articles.jsonl"), rounds=2)
    assert sorted(asked[:5]) == sorted(asked[5:])
    assert asked[:5] != asked[5:], "the order turns"
    row = result["tagging"]["torch float32"]
    assert row["times"] == {"median": 3.0, "least": 3.0, "most": 3.0}
    assert row["words_per_second"] == {"median": 22.5, "least": 15.0, "most": 30.0}
    differs = result["differences"]["onnx float32"]
    assert differs["identical"] == 0.5
    [other] = differs["others"]
    assert (other["side"], other["label"], other["article"]) == ("only it", "LOC", articles[-1].id)
    assert other["text"] == articles[-1].text[:3]
    # The median of what the two rounds say.
    shares = [(1 + asked[:5].index("torch float32")) / 100, (6 + asked[5:].index("torch float32")) / 100]
    assert row["stages"]["model"]["median"] == pytest.approx(sum(shares) / 2)
    assert "stages" not in result["tagging"][speed.BASELINE]
    speed.save(result, tmp_path / "out")
    assert json.loads((tmp_path / "out" / "speed.json").read_text(encoding="utf-8")) == result
    assert "| torch float32 | 22 | 3.00 (3.00–3.00) |" in (tmp_path / "out" / "speed.md").read_text(encoding="utf-8")


def test_both_trainings_are_scored_after_as_many_epochs(
    run_config: Path, articles: list[Document], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jsonl.write(tmp_path / "train.jsonl", articles)
    jobs, seeds = [], []

    def apart(job: dict) -> dict:  # type: ignore[type-arg]
        jobs.append(job)
        # The second time it has learnt everything.
        gold = [[[span.start, span.end, span.label] for span in document.spans] for document in articles]
        return {"spans": gold} if len(jobs) > 1 else json.loads(json.dumps(speed._usual_training(job)))

    def trained(config: str, out: Path, *overrides: str) -> None:
        seeds.append(finetune(read(config, [f"output={out}", *overrides]))["eval_span_f1"])

    monkeypatch.setattr(speed, "_apart", apart)
    monkeypatch.setattr(speed, "_train", trained)
    result = speed._quality(str(run_config), 2, Corpus("tiny", tuple(articles)), tmp_path, lambda line: None)
    assert [(job["seed"], job["epochs"]) for job in jobs] == [(1, 2), (2, 2)]
    assert result["f1"]["Trainer defaults"][1] == 1.0
    # Trained on these articles and scored on them; two epochs do not teach all of them.
    assert result["f1"]["kayan"] == [pytest.approx(f1, abs=1e-4) for f1 in seeds]
    assert "| Trainer defaults | " in "\n".join(speed._lines({**EMPTY, "quality": result}))


def test_the_usual_training_marks_exact_places(backbone: Path, articles: list[Document], tmp_path: Path) -> None:
    jsonl.write(tmp_path / "a.jsonl", articles)
    path = str(tmp_path / "a.jsonl")
    found = speed._usual_training({"trainer": str(backbone), "out": str(tmp_path), "articles": path, "tag": path})
    assert len(found["spans"]) == len(articles)
    for document, spans in zip(articles, found["spans"], strict=True):
        for start, end, label in spans:
            assert document.text[start:end].strip() == document.text[start:end] != ""
            assert label in TYPES


def test_a_checkpoint_of_full_size_needs_a_tokenizer(tmp_path: Path, articles: list[Document]) -> None:
    jsonl.write(tmp_path / "articles.jsonl", articles)
    with pytest.raises(ValueError, match=r"has no tokenizer.json"):
        speed.run(None, str(tmp_path / "articles.jsonl"), full=str(tmp_path))
