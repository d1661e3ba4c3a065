import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner

torch = pytest.importorskip("torch")

from kayan import Tagger  # noqa: E402
from kayan.checkpoint import inspect, save_policy  # noqa: E402
from kayan.document import Document  # noqa: E402
from kayan.model import build  # noqa: E402
from train import calibrate  # noqa: E402
from train.__main__ import main  # noqa: E402
from train.calibrate import fit_temperature, fit_threshold  # noqa: E402
from train.config import Config, ConfigError, read  # noqa: E402
from train.finetune import best_so_far, finetune, lineage, parameter_groups  # noqa: E402

ROOT = Path(__file__).parent.parent


def settings(run_config: Path, tmp_path: Path, *overrides: str) -> Config:
    return read(run_config, [f"output={tmp_path / 'run'}", *overrides])


@pytest.mark.parametrize("name", sorted(path.name for path in (ROOT / "configs").glob("*.yaml")))
def test_the_shipped_configurations_are_valid(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert read(Path("configs") / name).output.startswith("runs/")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.learning_rat=1", r"unknown key 'training.learning_rat'; did you mean 'learning_rate'\?"),
        ("modle.backbone=x", r"unknown key 'modle'; did you mean 'model'\?"),
        ("training.epochs=many", "training.epochs: input should be a valid number.*not 'many'"),
        ("training.epochs=0", "training.epochs: input should be greater than 0"),
        ("text.profile=lite", "text: unknown.*lite.*light"),
        ("types=[PER, PER]", "without repetition"),
        ("training.class_weights={PERS: 2}", "unknown label 'PERS'.*mean PER"),
        ("data.train.0.corpus={anotates: [PER]}", "unknown key 'anotates'; did you mean 'annotates'"),
        ("data.train.first.weight=2", "'first' must be a number"),
        ("data.train=[]", "data.train"),
        ("epochs", "must look like section.key=value"),
    ],
)
def test_configuration_mistakes_are_named(run_config: Path, override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read(run_config, [override])


def test_overrides_reach_lists_and_values(run_config: Path) -> None:
    config = read(run_config, ["data.train.0.weight=0.5", "training.epochs=3", "debug.overfit=true"])
    assert config.data.train[0].weight == 0.5
    assert config.training.epochs == 3
    assert config.debug.overfit


def test_broken_yaml_names_the_line(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("output: x\nmodel: [", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"a.yaml:\d: broken YAML"):
        read(tmp_path / "a.yaml")


def test_one_batch_is_learnt_by_heart(run_config: Path, tmp_path: Path, articles: list[Document]) -> None:
    overrides = [f"output={tmp_path / 'run'}", "debug.overfit=true", "debug.steps=150", "training.batch_size=8"]
    result = CliRunner().invoke(main, [str(run_config), *overrides])
    assert result.exit_code == 0, result.output
    assert "span F1 1.0000" in result.output
    tagger = Tagger.load(tmp_path / "run" / "best")
    for gold, found in zip(articles, tagger(articles), strict=True):
        assert [(s.start, s.end, s.label) for s in found.spans] == [(s.start, s.end, s.label) for s in gold.spans]


def test_a_run_folder_tells_everything(run_config: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    told = settings(run_config, tmp_path, "training.patience=5", "training.label_smoothing=0.1")
    best = finetune(told, progress=False)
    shown = capfd.readouterr()
    assert shown.out == ""
    assert "it/s" not in shown.err
    run = tmp_path / "run"
    assert yaml.safe_load((run / "config.yaml").read_text())["training"]["label_smoothing"] == 0.1
    data = json.loads((run / "data.json").read_text())
    assert len(data["train"][0]["sha256"]) == 64
    assert data["unreachable_gold"] == []
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["best"]["eval_span_f1"] == best["eval_span_f1"]
    assert len([entry for entry in metrics["history"] if "eval_span_f1" in entry]) == 2
    assert json.loads((run / "environment.json").read_text())["packages"]["torch"]
    assert list((run / "tensorboard").rglob("events*"))
    assert not (run / "states").exists()
    policy = inspect(run / "best").policy
    assert policy.trained_on[0]["sha256"] == data["train"][0]["sha256"]
    card = (run / "best" / "README.md").read_text(encoding="utf-8")
    assert "| all |" in card
    assert data["train"][0]["sha256"][:12] in card


def test_the_same_seed_gives_the_same_weights(run_config: Path, tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    weights = []
    for name in ("one", "two"):
        finetune(read(run_config, [f"output={tmp_path / name}", "training.epochs=1"]))
        weights.append(load_file(tmp_path / name / "best" / "model.safetensors"))
    assert all(np.array_equal(weights[0][key], weights[1][key]) for key in weights[0])


def test_a_killed_run_resumes_to_the_same_metrics(run_config: Path, tmp_path: Path) -> None:
    options = ["training.epochs=6", "training.save_steps=4", "training.batch_size=2"]
    whole = finetune(read(run_config, [f"output={tmp_path / 'whole'}", *options]))
    command = [sys.executable, "-m", "train", str(run_config), f"output={tmp_path / 'cut'}", *options]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    # Three optimiser steps an epoch: the state of step 4 lies inside the second.
    while not (tmp_path / "cut" / "states" / "checkpoint-4" / "trainer_state.json").is_file():
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "cut" / "best" / "README.md").is_file()
    resumed = finetune(read(run_config, [f"output={tmp_path / 'cut'}", *options]), resume=True)
    histories = [
        [
            entry
            for entry in json.loads((tmp_path / name / "metrics.json").read_text())["history"]
            if "eval_span_f1" in entry
        ]
        for name in ("whole", "cut")
    ]
    assert histories[0] == histories[1]
    assert {k: v for k, v in whole.items() if k != "seconds"} == {k: v for k, v in resumed.items() if k != "seconds"}


def test_resuming_needs_a_run_with_the_same_settings(run_config: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(main, [str(run_config), f"output={tmp_path / 'none'}", "--resume"])
    assert result.exit_code == 2
    assert "no run to resume" in result.output
    finetune(settings(run_config, tmp_path, "training.epochs=1"))
    result = CliRunner().invoke(main, [str(run_config), f"output={tmp_path / 'run'}", "--resume", "training.seed=2"])
    assert result.exit_code == 2
    assert "other settings (training)" in result.output


def test_two_processes_train_together(run_config: Path, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nproc-per-node=2",
        "--standalone",  # on a free port
        "--local-addr=localhost",
        "-m",
        "train",
    ]
    command += [str(run_config), f"output={tmp_path / 'run'}", "training.epochs=1", "training.batch_size=1"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    history = json.loads((tmp_path / "run" / "metrics.json").read_text())["history"]
    assert [entry["step"] for entry in history if "eval_span_f1" in entry] == [3]
    inspect(tmp_path / "run" / "best")


def test_corpora_with_other_annotations_mix_by_weight(run_config: Path, tmp_path: Path, corpus_file: Path) -> None:
    (tmp_path / "b.conll").write_text("زار O\nكريم B-PERS\nبفاس B-LOC\n\nيوم O\nالثلاثاء O\n", encoding="utf-8")
    other = {"annotates": ["PER", "LOC"], "labels": {"PERS": "PER"}, "proclitics": False}
    entries = [
        {"path": str(corpus_file), "weight": 1.5},
        {"path": str(tmp_path / "b.conll"), "corpus": other, "weight": 3},
    ]
    finetune(settings(run_config, tmp_path, f"data.train={json.dumps(entries)}", "training.epochs=1"))
    data = json.loads((tmp_path / "run" / "data.json").read_text())
    assert data["training_windows"] == 9 + 6


def test_an_unknown_label_stops_the_run_at_its_article(run_config: Path, tmp_path: Path) -> None:
    (tmp_path / "c.jsonl").write_text(
        '{"id": "n3", "text": "فاس", "spans": [{"start": 0, "end": 3, "label": "GPE"}]}\n'
    )
    result = CliRunner().invoke(main, [str(run_config), f"data.train.0.path={tmp_path / 'c.jsonl'}"])
    assert result.exit_code == 2
    assert "corpus 'c', article 'n3', 'فاس' at 0: unknown label 'GPE'" in result.output


def test_a_window_beyond_the_backbone_is_refused(run_config: Path) -> None:
    result = CliRunner().invoke(main, [str(run_config), "text.window=512"])
    assert result.exit_code == 2
    assert "positions for 128" in result.output


def test_learning_rates_by_layer(run_config: Path, backbone: Path) -> None:
    options = ["training.learning_rate=0.01", "training.layer_decay=0.5", "training.head_learning_rate=0.1"]
    config = read(run_config, options)
    model = build(backbone, config.schema_)
    rates = {id(p): group["lr"] for group in parameter_groups(model, config) for p in group["params"]}
    named = {name: rates[id(parameter)] for name, parameter in model.named_parameters()}
    assert named["classifier.bert.encoder.layer.1.output.dense.weight"] == 0.01
    assert named["classifier.bert.encoder.layer.0.output.dense.weight"] == 0.005
    assert named["classifier.bert.embeddings.word_embeddings.weight"] == 0.0025
    assert named["classifier.classifier.weight"] == named["proclitic.weight"] == 0.1
    decays = {id(p): group["weight_decay"] for group in parameter_groups(model, config) for p in group["params"]}
    assert all(decays[id(p)] == 0 for p in model.parameters() if p.ndim < 2)


def test_the_best_epoch_is_the_earliest_of_equals() -> None:
    history = [
        {"eval_span_f1": 0.5, "epoch": 1},
        {"loss": 1},
        {"eval_span_f1": 0.7, "epoch": 2},
        {"eval_span_f1": 0.7, "epoch": 3},
    ]
    best = best_so_far(history)
    assert best is not None
    assert best["epoch"] == 2
    assert best_so_far([{"loss": 1}]) is None


def test_the_corpora_of_a_backbone_are_remembered(checkpoint: Path, backbone: Path, tmp_path: Path) -> None:
    old, new = ({"name": name, "sha256": name, "licence": "", "articles": 1} for name in ("old", "new"))
    folder = tmp_path / "tagger"
    shutil.copytree(checkpoint, folder)
    save_policy(folder, replace(inspect(folder).policy, trained_on=(old, new)))
    assert lineage(folder, [new]) == (new, old)
    assert lineage(backbone, [new]) == (new,)


def test_temperature_makes_overconfident_scores_milder(checkpoint: Path, articles: list[Document]) -> None:
    tagger = Tagger.load(checkpoint)
    # A random model is nearly always wrong; half of its own answers as gold make it right half of the time, and sure.
    gold = [found.with_spans(found.spans[::2]) for found in tagger(articles)]
    assert fit_temperature(tagger, gold) > 1.0
    assert fit_temperature(tagger, tagger(articles)) == 1.0


def test_the_threshold_leaves_out_what_is_more_often_wrong(
    checkpoint: Path, articles: list[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    tagger = Tagger.load(checkpoint)
    found = tagger(articles)
    scores = sorted(span.score or 0.0 for document in found for span in document.spans)
    middle = scores[len(scores) // 2]
    gold = [one.with_spans(span for span in one.spans if (span.score or 0.0) >= middle) for one in found]
    # A handful of predictions says nothing.
    assert fit_threshold(tagger, gold) == 0.0
    monkeypatch.setattr(calibrate, "ENOUGH", 2)
    threshold = fit_threshold(tagger, gold)
    kept = [span for one in found for span in one.spans if (span.score or 0.0) >= threshold]
    assert abs(len(kept) - sum(len(one.spans) for one in gold)) <= 1
