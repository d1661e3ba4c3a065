"""The front matter of model cards, as the hub's own classes read it."""

from pathlib import Path
from typing import Any

import pytest

from kayan.checkpoint import STARTER, inspect
from kayan.corpus import Corpus, load
from kayan.hub import model_card
from train.card import front_matter, write_card
from train.config import read

huggingface_hub = pytest.importorskip("huggingface_hub")
BEST = {"eval_span_f1": 0.81249, "eval_span_precision": 0.8, "eval_span_recall": 0.825, "eval_particles_right": 0.9}


def metadata(front: str) -> Any:
    return huggingface_hub.ModelCard(f"---\n{front}\n---\n").data


def test_figures_become_a_model_index() -> None:
    data = metadata(front_matter("tiny", [("Our news", "test", {"f1": 0.81249, "recall": 0.5})]))
    assert (data.language, data.pipeline_tag, data.library_name) == ("ar", "token-classification", "kayan")
    assert data.model_name == "tiny"
    assert data.metrics == ["f1", "precision", "recall"]
    first, second = data.eval_results
    assert (first.task_type, first.dataset_type, first.dataset_name) == ("token-classification", "our-news", "Our news")
    assert (first.dataset_split, first.metric_type, first.metric_value) == ("test", "f1", 0.812)
    assert first.metric_name == "F1 of exact character spans"
    assert (second.metric_type, second.metric_value) == ("recall", 0.5)


def test_only_ids_of_the_hub_are_stated_as_data_sets_and_backbone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures = [("someone/news", "validation", {"f1": 0.5})]
    data = metadata(front_matter("tiny", figures, ["Our news", "someone/news", "أخبار/نا"], "aubmindlab/bert"))
    assert data.datasets == ["someone/news"]
    assert data.base_model == "aubmindlab/bert"
    assert data.eval_results[0].dataset_type == "someone/news"
    assert metadata(front_matter("tiny", figures, ["Our news"])).datasets is None
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "bert").mkdir(parents=True)
    for backbone in ("starter", "runs/bert", "/models/org/bert"):
        assert metadata(front_matter("tiny", figures, backbone=backbone)).base_model is None


def test_a_name_without_latin_letters_has_a_type_too() -> None:
    assert metadata(front_matter("tiny", [("أخبارنا", "test", {"f1": 0.5})])).eval_results[0].dataset_type == "own"


def test_the_card_of_a_run(checkpoint: Path, run_config: Path, corpus_file: Path, tmp_path: Path) -> None:
    corpus: Corpus = load(corpus_file)
    write_card(tmp_path, read(run_config), {"train": [corpus], "validation": [corpus]}, {**BEST, "eval_f1_PER": 0.5})
    text = (tmp_path / "README.md").read_text(encoding="utf-8")
    data = huggingface_hub.ModelCard(text).data
    assert [(result.metric_type, result.metric_value) for result in data.eval_results] == [
        ("f1", 0.812),
        ("precision", 0.8),
        ("recall", 0.825),
    ]
    # Whose licence the weights are under is for people to say, when they publish them.
    assert data.license is None
    assert "---\n# run\n\nFinds PER, ORG" in text


def test_the_card_of_the_starter_is_fit_for_the_hub() -> None:
    data = huggingface_hub.ModelCard(model_card(inspect(STARTER), "org/starter")).data
    assert data.license == "apache-2.0"
    assert {result.metric_type for result in data.eval_results} == {"f1", "precision", "recall"}
    figures = [result.metric_value for result in data.eval_results if result.metric_type == "f1"]
    text = (STARTER / "README.md").read_text(encoding="utf-8")
    assert all(f"**{figure:.3f}**" in text for figure in figures)
