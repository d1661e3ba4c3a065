"""The engines give the same answers, PyTorch or not, and what does not fit is refused by name."""

import json
import os
import shutil
import subprocess
import venv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from kayan import Tagger
from kayan.checkpoint import STARTER, CheckpointError, inspect
from kayan.cli import main
from kayan.document import Document
from kayan.export import export
from kayan.formats import jsonl
from kayan.runtime import OnnxRuntime, TorchRuntime, choose

ROOT = Path(__file__).parents[1]
SAMPLE = (ROOT / "data" / "sample.txt").read_text(encoding="utf-8")


def edges(document: Document) -> list[tuple[int, int, str]]:
    return [(span.start, span.end, span.label) for span in document.spans]


def test_the_graph_gives_the_logits_of_the_model(exported: Path) -> None:
    checkpoint = inspect(exported)
    engines = TorchRuntime(checkpoint, "cpu"), OnnxRuntime(checkpoint)
    draw = np.random.default_rng(0)
    for rows, pieces in ((1, 3), (1, 16), (5, 24), (3, checkpoint.policy.text.window)):
        ids = draw.integers(8, 40, (rows, pieces))
        mask = np.ones_like(ids)
        mask[-1, pieces // 2 :] = rows == 1
        for one, other in zip(*(engine(ids, mask) for engine in engines), strict=True):
            assert one is not None
            assert other is not None
            assert one.shape == other.shape
            np.testing.assert_allclose(one[mask == 1], other[mask == 1], atol=2e-4)


def test_the_starter_marks_the_same_without_pytorch() -> None:
    articles = [document.text for document in jsonl.read(ROOT / "data" / "news" / "test.jsonl")[:6]]
    articles += [SAMPLE, "\n".join(articles), ""]
    one, other = (Tagger.load(runtime=runtime, device="cpu", threshold=0.0) for runtime in ("torch", "onnx"))
    for text, first, second in zip(articles, one(articles), other(articles), strict=True):
        assert edges(first) == edges(second), text
        scores = [[span.score for span in document.spans] for document in (first, second)]
        assert scores[0] == pytest.approx(scores[1], abs=1e-3)


def test_int8_does_not_depend_on_the_batch(exported: Path) -> None:
    engine = OnnxRuntime(inspect(exported), "onnx-int8")
    draw = np.random.default_rng(1)
    ids = draw.integers(8, 40, (9, 24))
    together, _ = engine(ids, np.ones_like(ids))
    for i in range(len(ids)):
        alone, _ = engine(ids[i : i + 1], np.ones_like(ids[i : i + 1]))
        np.testing.assert_allclose(together[i], alone[0], atol=1e-4)
    exact, _ = OnnxRuntime(inspect(exported))(ids, np.ones_like(ids))
    assert not np.array_equal(exact, together), "int8 is what was measured"
    assert np.abs(exact - together).mean() < 0.02 * np.abs(exact).mean()


def test_a_graph_holds_no_weights_and_no_paths(exported: Path) -> None:
    graph = (STARTER / "model.onnx").read_bytes()
    assert len(graph) < 300_000
    for word in (b"site-packages", b"/home", b"/work", b".py"):
        assert word not in graph
    assert (exported / "model.onnx").stat().st_size < (exported / "model.safetensors").stat().st_size


@pytest.mark.parametrize("kind", ["onnx", "onnx-int8"])
def test_a_graph_of_other_weights_is_refused(exported: Path, tmp_path: Path, kind: str) -> None:
    from safetensors.numpy import load_file, save_file

    folder = tmp_path / "changed"
    shutil.copytree(exported, folder)
    weights = load_file(folder / "model.safetensors")
    weights["classifier.bias"] = weights["classifier.bias"] + 1
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(CheckpointError, match=r"onnx was made from other weights.*kayan export --model .* --\w+"):
        OnnxRuntime(inspect(folder), kind)


def test_a_graph_reads_nothing_outside_its_folder(exported: Path, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    folder = tmp_path / "hostile"
    shutil.copytree(exported, folder)
    (tmp_path / "secret.bin").write_bytes(b"\0" * 1_000_000)
    model = onnx.load(folder / "model.onnx", load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = "../secret.bin"
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(CheckpointError, match=r"model\.onnx cannot be opened"):
        OnnxRuntime(inspect(folder))


@pytest.mark.parametrize(
    ("content", "message"), [(b"", "cannot be opened"), (b"no graph", "cannot be opened"), (None, "has no model.onnx")]
)
def test_a_broken_or_missing_graph(exported: Path, tmp_path: Path, content: bytes | None, message: str) -> None:
    folder = tmp_path / "broken"
    shutil.copytree(exported, folder)
    (folder / "model.onnx").unlink()
    if content is not None:
        (folder / "model.onnx").write_bytes(content)
    with pytest.raises(CheckpointError, match=message):
        Tagger.load(folder, runtime="onnx")


def test_the_choice(exported: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kayan.runtime._accelerated", lambda: False)
    with_graph, without = inspect(exported), inspect(checkpoint)
    assert choose(with_graph)[0] == "onnx"
    assert choose(with_graph, device="cpu")[0] == "onnx"
    assert choose(with_graph, "onnx-int8")[0] == "onnx-int8"
    assert choose(with_graph, "torch") == ("torch", "asked for")
    assert choose(without)[0] == "torch"
    assert "kayan export" in choose(without)[1]
    assert choose(with_graph, dtype="bfloat16")[0] == "torch"
    assert choose(with_graph, device="cuda")[0] == "torch"
    monkeypatch.setattr("kayan.runtime._accelerated", lambda: True)
    assert choose(with_graph)[0] == "torch"
    monkeypatch.setattr("kayan.runtime._installed", lambda module: module != "onnxruntime")
    assert choose(with_graph) == ("torch", "ONNX Runtime is not installed")
    with pytest.raises(ValueError, match="must be one of auto, torch, onnx, onnx-int8, not 'onx'"):
        choose(with_graph, "onx")
    with pytest.raises(ValueError, match="computes on the processor in float32"):
        choose(with_graph, "onnx", device="cuda")


def test_export_and_doctor_on_the_command_line(checkpoint: Path, tmp_path: Path) -> None:
    out = tmp_path / "small"
    done = CliRunner().invoke(main, ["export", "--model", str(checkpoint), "--int8", "--onnx", "-o", str(out)])
    assert done.exit_code == 0, done.output
    assert {path.name for path in out.glob("*.onnx")} == {"model.onnx", "model.int8.onnx"}
    assert not list(checkpoint.glob("*.onnx"))
    again = CliRunner().invoke(main, ["export", "--model", str(checkpoint), "-o", str(out)])
    assert again.exit_code == 2
    assert "exists" in again.output
    said = CliRunner().invoke(main, ["doctor", "--model", str(out)]).output
    assert "model.onnx, model.int8.onnx" in said
    assert "runtime" in said


def test_where_the_encoder_is_no_bert(articles: list[Document], checkpoint: Path, tmp_path: Path) -> None:
    """An XLM-RoBERTa counts its positions from the padding index on."""
    import torch
    from transformers import AutoTokenizer, XLMRobertaConfig, XLMRobertaForTokenClassification

    from kayan.model import TaggerModel, save

    policy = inspect(checkpoint).policy
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    torch.manual_seed(0)
    config = XLMRobertaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=130,
        pad_token_id=0,
        id2label=dict(enumerate(policy.schema.tags)),
        label2id={tag: i for i, tag in enumerate(policy.schema.tags)},
        initializer_range=0.3,
    )
    save(
        tmp_path,
        TaggerModel(XLMRobertaForTokenClassification(config)).eval(),
        tokenizer,
        replace(policy, threshold=0.0),
    )
    export(inspect(tmp_path))
    one, other = (Tagger.load(tmp_path, runtime=runtime, device="cpu") for runtime in ("torch", "onnx"))
    texts = [document.text for document in articles]
    assert any(edges(document) for document in one(texts))
    assert [edges(document) for document in one(texts)] == [edges(document) for document in other(texts)]


def test_a_slim_installation_tags(tmp_path: Path) -> None:
    """`pip install kayan[onnx]` in an environment of its own: neither PyTorch nor transformers."""
    venv.create(tmp_path / "slim", with_pip=True)
    python = tmp_path / "slim" / ("Scripts" if os.name == "nt" else "bin") / "python"
    install = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "-c", ROOT / "constraints.txt"]
    subprocess.run([*install, f"{ROOT}[onnx]"], check=True, capture_output=True)
    program = (
        "import importlib.util, sys; from kayan import Tagger; "
        "assert not any(importlib.util.find_spec(name) for name in ('torch', 'transformers', 'onnx')); "
        "import json; text = sys.stdin.read(); "
        "print(json.dumps([[s.start, s.end, s.label] for s in Tagger.load()(text).spans]))"
    )
    run = [python, "-I", "-c", program]
    done = subprocess.run(run, input=SAMPLE, capture_output=True, text=True, cwd=tmp_path, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    assert [tuple(edge) for edge in json.loads(done.stdout)] == edges(
        Tagger.load(runtime="torch", device="cpu")(SAMPLE)
    )
    command = [python.with_name("kayan"), "tag", "--runtime", "torch", "-"]
    refused = subprocess.run(command, input=SAMPLE, capture_output=True, text=True, cwd=tmp_path, encoding="utf-8")
    assert refused.returncode == 2
    assert "kayan[torch]" in refused.stderr
