"""The benchmark measures what it says, and its ratios are taken within a round."""

import json
import shutil
from pathlib import Path

import pytest

from eval import speed
from kayan.document import Document
from kayan.formats import jsonl


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
    speed.save(result, tmp_path / "out")
    assert json.loads((tmp_path / "out" / "speed.json").read_text(encoding="utf-8")) == result
    assert "| torch float32 | 22 | 3.00 (3.00–3.00) |" in (tmp_path / "out" / "speed.md").read_text(encoding="utf-8")
