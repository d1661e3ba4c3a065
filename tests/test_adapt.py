import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from transformers import AutoModel, AutoTokenizer  # noqa: E402

from kayan.document import Document  # noqa: E402
from kayan.formats import jsonl  # noqa: E402
from train import adapt  # noqa: E402
from train.adapt import IGNORED, Adapt, MaskedLM, Masker, pack  # noqa: E402


@pytest.fixture
def stage(backbone: Path, articles: list[Document], tmp_path: Path) -> Adapt:
    texts = [Document(f"{one.text}\n{other.text}", id=f"{one.id}{other.id}") for one in articles for other in articles]
    jsonl.write(tmp_path / "text.jsonl", texts)
    return Adapt.model_validate(
        {
            "stage": "adapt",
            "output": str(tmp_path / "out"),
            "backbone": str(backbone),
            "text": {"root": str(tmp_path), "files": [{"path": "text.jsonl"}]},
            "window": 32,
            "held_out": 8,
            "steps": 24,
            "batch_size": 4,
            "save_steps": 12,
            "warmup_steps": 2,
            "learning_rate": 0.01,
        }
    )


def test_words_are_masked_whole(backbone: Path, articles: list[Document]) -> None:
    tokenizer = AutoTokenizer.from_pretrained(backbone)
    rows = pack(tokenizer, [document.text for document in articles], 32)
    masker = Masker(tokenizer, 0.3)
    batch = masker([(seed, row.astype(np.int64)) for seed, row in enumerate(rows)] * 20)
    again = masker([(seed, row.astype(np.int64)) for seed, row in enumerate(rows)] * 20)
    assert torch.equal(batch["input_ids"], again["input_ids"])
    ids, labels = batch["input_ids"].numpy(), batch["labels"].numpy()
    asked = labels != IGNORED
    assert 0.2 < asked.mean() < 0.4
    assert not np.isin(labels[asked], tokenizer.all_special_ids).any()
    assert 0.7 < (ids[asked] == tokenizer.mask_token_id).mean() < 0.9
    assert (ids[~asked] == np.concatenate([rows] * 20)[~asked]).all()
    for row, mask in zip(np.concatenate([rows] * 20), asked, strict=True):
        pieces = tokenizer.convert_ids_to_tokens(row)
        for i in range(1, len(row)):
            if pieces[i].startswith("##"):
                assert mask[i] == mask[i - 1], pieces


def test_the_head_is_tied_and_asks_masked_places_only(backbone: Path) -> None:
    rows = np.arange(64, dtype=np.uint16).reshape(2, 32)
    model = MaskedLM(str(backbone), rows)
    ids = torch.from_numpy(rows.astype(np.int64))
    labels = torch.full_like(ids, IGNORED)
    labels[0, 3] = 9
    model(ids, labels)["loss"].backward()
    assert model.encoder.embeddings.word_embeddings.weight.grad[9].abs().sum() > 0
    assert not any(isinstance(m, torch.nn.Dropout) and m.p for m in model.encoder.modules())
    assert model.encoder.config.hidden_dropout_prob == 0.1, "fine-tuning keeps its dropout"


def test_the_loss_falls_and_the_encoder_opens(stage: Adapt) -> None:
    figures = stage.run(False)
    out = Path(stage.output)
    losses = [entry["eval_loss"] for entry in json.loads((out / "log.json").read_text()) if "eval_loss" in entry]
    assert losses[-1] < losses[0] < 6
    assert figures["text"][0]["taken"] == 36
    opened = AutoModel.from_pretrained(out, add_pooling_layer=False)
    assert opened.config.hidden_dropout_prob == 0.1
    assert len(AutoTokenizer.from_pretrained(out)) == opened.config.vocab_size


def test_a_cut_off_run_ends_as_an_uninterrupted_one(
    stage: Adapt, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stage.run(False)
    whole = AutoModel.from_pretrained(stage.output, add_pooling_layer=False).state_dict()

    other = stage.model_copy(update={"output": str(tmp_path / "other")})

    class Cut(Exception):
        pass

    class Export(adapt._Export):
        def on_save(self, args, state, control, **more):  # type: ignore[no-untyped-def]
            super().on_save(args, state, control, **more)
            raise Cut

    with monkeypatch.context() as patch:
        patch.setattr(adapt, "_Export", Export)
        with pytest.raises(Cut):
            other.run(False)
    other.run(True)
    resumed = AutoModel.from_pretrained(other.output, add_pooling_layer=False).state_dict()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
