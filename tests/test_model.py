from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from transformers import AutoModelForTokenClassification, AutoTokenizer, pipeline  # noqa: E402

from kayan.checkpoint import inspect  # noqa: E402
from kayan.model import TaggerModel, admissible_loss, build, load, save  # noqa: E402
from kayan.schema import Declaration, Schema, TagSets  # noqa: E402
from tests.conftest import TYPES  # noqa: E402

SCHEMA = Schema(TYPES)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_one_tag_a_set_is_cross_entropy_exactly(smoothing: float) -> None:
    torch.manual_seed(0)
    logits = torch.randn(3, 7, 13)
    labels = torch.randint(0, 13, (3, 7))
    labels[0, :3] = -100
    expected = torch.nn.functional.cross_entropy(
        logits.flatten(0, 1), labels.flatten(), ignore_index=-100, label_smoothing=smoothing
    )
    assert admissible_loss(logits, labels, torch.eye(13, dtype=torch.bool), smoothing) == pytest.approx(expected)


def test_the_loss_is_minus_log_of_the_sets_probability() -> None:
    logits = torch.log(torch.tensor([[0.5, 0.3, 0.2]]))
    table = torch.tensor([[True, False, True]])
    assert admissible_loss(logits, torch.tensor([0]), table).item() == pytest.approx(-np.log(0.7), abs=1e-6)


def test_a_corpus_without_dates_does_not_teach_that_dates_are_nothing() -> None:
    sets = TagSets(SCHEMA)
    [outside] = sets.admissible(["O"], Declaration(frozenset(["PER", "LOC"])))
    logits = torch.zeros(1, 13, requires_grad=True)
    admissible_loss(logits, torch.tensor([outside]), torch.tensor(sets.table)).backward()
    gradient = logits.grad[0]
    assert gradient[SCHEMA.tag_ids["B-DATE"]] == pytest.approx(gradient[0])
    assert gradient[SCHEMA.tag_ids["B-DATE"]] < 0 < gradient[SCHEMA.tag_ids["B-PER"]]


def test_class_weights_are_cross_entropys() -> None:
    torch.manual_seed(0)
    logits, labels = torch.randn(9, 13), torch.randint(0, 13, (9,))
    weights = torch.rand(13) + 0.5
    expected = torch.nn.functional.cross_entropy(logits, labels, weight=weights)
    table = torch.eye(13, dtype=torch.bool)
    assert admissible_loss(logits, labels, table, 0.0, weights) == pytest.approx(expected)


def test_no_labelled_word_gives_zero_not_nan() -> None:
    logits = torch.randn(2, 4, 13, requires_grad=True)
    loss = admissible_loss(logits, torch.full((2, 4), -100), torch.eye(13, dtype=torch.bool))
    loss.backward()
    assert loss.item() == 0


def test_whoever_may_read_the_configuration_may_read_the_weights(checkpoint: Path) -> None:
    assert len({path.stat().st_mode for path in checkpoint.iterdir()}) == 1


def test_a_saved_model_says_the_same(tmp_path: Path, checkpoint: Path) -> None:
    model, policy = load(checkpoint)
    ids = torch.randint(5, 40, (2, 9))
    mask = torch.ones_like(ids)
    before = model(ids, mask)
    save(tmp_path / "again", model, AutoTokenizer.from_pretrained(checkpoint), policy)
    again, same = load(tmp_path / "again")
    after = again(ids, mask)
    assert same == policy
    for key in ("logits", "particle_logits"):
        assert torch.equal(before[key], after[key])


def test_half_precision_is_half_the_size(tmp_path: Path, checkpoint: Path) -> None:
    model, policy = load(checkpoint)
    save(tmp_path / "half", model, AutoTokenizer.from_pretrained(checkpoint), policy, half=True)
    size = [(folder / "model.safetensors").stat().st_size for folder in (checkpoint, tmp_path / "half")]
    assert size[1] < 0.6 * size[0]
    again, _ = load(tmp_path / "half")
    assert next(again.parameters()).dtype == torch.float32


def test_padding_changes_no_logits(checkpoint: Path) -> None:
    model, _ = load(checkpoint)
    row = torch.randint(5, 40, (1, 7))
    padded = torch.cat([row, torch.zeros(1, 9, dtype=torch.long)], dim=1)
    mask = (torch.arange(16) < 7).long()[None]
    with torch.inference_mode():
        alone = model(row, torch.ones_like(row))["logits"]
        together = model(padded, mask)["logits"][:, :7]
    assert torch.allclose(alone, together, atol=1e-5)


def test_plain_transformers_opens_the_checkpoint(checkpoint: Path) -> None:
    plain, report = AutoModelForTokenClassification.from_pretrained(checkpoint, output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    assert [plain.config.id2label[i] for i in range(13)] == list(SCHEMA.tags)
    ours, _ = load(checkpoint)
    ids = torch.randint(5, 40, (1, 6))
    assert torch.allclose(plain.eval()(ids).logits, ours(ids, torch.ones_like(ids))["logits"], atol=1e-6)
    found = pipeline("token-classification", model=str(checkpoint), aggregation_strategy="simple")("زار كريم فاس")
    assert all({"entity_group", "start", "end", "score"} <= item.keys() for item in found)


def test_a_kayan_checkpoint_goes_on_with_its_heads(checkpoint: Path) -> None:
    first, _ = load(checkpoint)
    same = build(checkpoint, SCHEMA)
    assert torch.equal(same.classifier.classifier.weight, first.classifier.classifier.weight)
    assert torch.equal(same.proclitic.weight, first.proclitic.weight)
    other = build(checkpoint, Schema(("PER", "LOC")))
    assert other.classifier.classifier.weight.shape[0] == 5


def test_without_a_proclitic_head(backbone: Path, tmp_path: Path, checkpoint: Path) -> None:
    from dataclasses import replace

    model = build(backbone, SCHEMA, proclitics=False)
    assert isinstance(model, TaggerModel)
    policy = replace(inspect(checkpoint).policy, proclitics=False)
    save(tmp_path / "plain", model, AutoTokenizer.from_pretrained(backbone), policy)
    loaded, _ = load(tmp_path / "plain")
    assert "particle_logits" not in loaded(torch.tensor([[2, 9, 3]]), torch.ones(1, 3, dtype=torch.long))
