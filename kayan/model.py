"""A Hugging Face token classifier with a proclitic head and a loss over admissible tag sets; save and load."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForTokenClassification, PreTrainedTokenizerFast
from transformers import logging as transformers_logging

from kayan.checkpoint import PROCLITIC_FILE, Checkpoint, CheckpointError, Policy, inspect, save_policy
from kayan.encoding import IGNORED
from kayan.schema import Schema
from kayan.words import MAX_PARTICLES


class TaggerModel(nn.Module):
    """Any `AutoModelForTokenClassification` encoder, and a second head that counts attached particles.

    table: boolean (sets, tags), which tags each label id admits (`TagSets.table`); the default is one tag a set.
    label_smoothing: share of the target spread over all tags.
    class_weights: (tags,) weight of a word by its tag; a set that admits several tags weighs their mean.
    """

    def __init__(
        self,
        classifier: nn.Module,
        proclitics: bool = True,
        table: np.ndarray | None = None,
        label_smoothing: float = 0.0,
        class_weights: Sequence[float] | None = None,
    ):
        super().__init__()
        self.classifier = classifier
        config: Any = classifier.config
        self.config = config
        self.proclitic = nn.Linear(config.hidden_size, MAX_PARTICLES + 1) if proclitics else None
        if self.proclitic is not None:
            nn.init.normal_(self.proclitic.weight, std=getattr(config, "initializer_range", 0.02))
            nn.init.zeros_(self.proclitic.bias)
        self.label_smoothing = label_smoothing
        sets = np.eye(config.num_labels, dtype=bool) if table is None else table
        weights = np.ones(config.num_labels) if class_weights is None else np.asarray(class_weights, dtype=float)
        self.register_buffer("table", torch.tensor(sets), persistent=False)
        self.register_buffer(
            "weights", torch.tensor(sets @ weights / sets.sum(1), dtype=torch.float32), persistent=False
        )

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        labels: Tensor | None = None,
        particles: Tensor | None = None,
        **_: Any,
    ) -> dict[str, Tensor]:
        """Logits of the tags (rows, sub-words, tags) and of the particle counts (rows, sub-words, 4), and the loss.

        labels: tag set ids, particles: counts 0–3; both int64 (rows, sub-words), −100 where nothing is to be learnt.
        """
        output = self.classifier(
            input_ids=input_ids, attention_mask=attention_mask, output_hidden_states=self.proclitic is not None
        )
        result = {"logits": output.logits}
        if self.proclitic is not None:
            result["particle_logits"] = self.proclitic(output.hidden_states[-1])
        if labels is not None:
            loss = admissible_loss(output.logits, labels, self.table, self.label_smoothing, self.weights)
            if self.proclitic is not None and particles is not None and bool((particles != IGNORED).any()):
                counts = nn.functional.cross_entropy(
                    result["particle_logits"].float().flatten(0, 1), particles.flatten(), ignore_index=IGNORED
                )
                loss = loss + 0.5 * counts
            result = {"loss": loss, **result}
        return result


def admissible_loss(
    logits: Tensor, labels: Tensor, table: Tensor, label_smoothing: float = 0.0, weights: Tensor | None = None
) -> Tensor:
    """Mean over the labelled words of −log Σ p(tag), the sum over the tags that the word's set admits (partial-label
    maximum likelihood: Jin & Ghahramani, NIPS 2002). With one tag a set this is cross-entropy, exactly.

    logits (…, tags); labels (…,) row numbers of `table`, −100 ignored; table (sets, tags) boolean; weights (sets,).
    Smoothing ε mixes in the mean of −log p over all tags, as `torch.nn.CrossEntropyLoss` does; a set that admits
    several tags is smooth already in what it says and is mixed alike. Zero, not NaN, without any labelled word.
    """
    keep = labels != IGNORED
    picked = labels[keep]
    log_p = torch.log_softmax(logits[keep].float(), dim=-1)
    loss = -torch.logsumexp(log_p.masked_fill(~table[picked], float("-inf")), dim=-1)
    if label_smoothing:
        loss = (1 - label_smoothing) * loss - label_smoothing * log_p.mean(-1)
    if weights is None:
        return loss.sum() / max(1, loss.numel())
    scale = weights[picked]
    return (loss * scale).sum() / scale.sum().clamp_min(1e-9)


def build(
    backbone: str | Path,
    schema: Schema,
    proclitics: bool = True,
    dropout: float | None = None,
    attention_dropout: float | None = None,
    **loss: Any,
) -> TaggerModel:
    """A tagger on a pre-trained encoder with new heads; where `backbone` is a checkpoint of kayan's with the same types,
    with its heads. Seed first: heads are random. `loss` goes to `TaggerModel`.

    Raises `OSError` (from transformers) when the encoder cannot be loaded.
    """
    labels = dict(enumerate(schema.tags))
    same = AutoConfig.from_pretrained(backbone).id2label == labels
    rates = {"hidden_dropout_prob": dropout, "attention_probs_dropout_prob": attention_dropout}
    options: dict[str, Any] = {name: rate for name, rate in rates.items() if rate is not None}
    with _quiet():
        classifier = AutoModelForTokenClassification.from_pretrained(
            backbone,
            id2label=labels,
            label2id={tag: i for i, tag in labels.items()},
            ignore_mismatched_sizes=not same,
            dtype=torch.float32,
            use_safetensors=True,
            trust_remote_code=False,
            **options,
        )
    model = TaggerModel(classifier, proclitics, **loss)
    head = Path(backbone) / PROCLITIC_FILE
    if same and model.proclitic is not None and head.is_file():
        _load_head(model.proclitic, head)
    return model


def save(
    folder: str | Path, model: TaggerModel, tokenizer: PreTrainedTokenizerFast, policy: Policy, half: bool = False
) -> None:
    """Write a checkpoint: `config.json`, `model.safetensors`, the tokenizer, `kayan.json` and the proclitic head.

    half: float16 weights, half the size; they are read back as float32.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    state = {name: tensor.detach().cpu() for name, tensor in model.classifier.state_dict().items()}
    if half:
        state = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in state.items()}
    with _quiet():
        model.classifier.save_pretrained(folder, state_dict=state)
    tokenizer.save_pretrained(folder)
    if model.proclitic is not None:
        head = {
            f"proclitic.{name}": tensor.detach().cpu().contiguous()
            for name, tensor in model.proclitic.state_dict().items()
        }
        save_file(head, folder / PROCLITIC_FILE)
    for weights in folder.glob("*.safetensors"):
        # safetensors 0.8 makes files that only their owner may read, whatever the umask.
        weights.chmod((folder / "config.json").stat().st_mode)
    save_policy(folder, policy)


def load(folder: str | Path | Checkpoint) -> tuple[TaggerModel, Policy]:
    """The model of a checkpoint (a folder, or one that was inspected), float32 on the CPU in evaluation mode, and its policy.

    Raises `CheckpointError` as `kayan.checkpoint.inspect` does, and when weights are missing or of another size.
    """
    checkpoint = folder if isinstance(folder, Checkpoint) else inspect(folder)
    try:
        with _quiet():
            classifier, report = AutoModelForTokenClassification.from_pretrained(
                checkpoint.path,
                dtype=torch.float32,
                use_safetensors=True,
                trust_remote_code=False,
                local_files_only=True,
                output_loading_info=True,
            )
    except Exception as error:  # Of what the libraries say of a nonsensical config.json there is no end.
        reason = str(error).strip() or type(error).__name__
        if "ignore_mismatched_sizes" in reason:
            reason = "the sizes in its config.json are not those of its weights"
        raise CheckpointError(f"{checkpoint.path} cannot be loaded: {reason}") from None
    if report["missing_keys"]:
        raise CheckpointError(f"{checkpoint.path} lacks the weights {', '.join(sorted(report['missing_keys'])[:5])}")
    model = TaggerModel(classifier, checkpoint.policy.proclitics)
    if model.proclitic is not None:
        _load_head(model.proclitic, checkpoint.path / PROCLITIC_FILE)
    return model.eval(), checkpoint.policy


def _load_head(head: nn.Linear, file: Path) -> None:
    weights = {name.removeprefix("proclitic."): tensor.float() for name, tensor in load_file(file).items()}
    try:
        head.load_state_dict(weights)
    except RuntimeError as error:
        raise CheckpointError(f"{file} does not fit the model: {error}") from None


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without transformers' bars and its report on heads that are new by intent."""
    verbosity, bars = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if bars:
            transformers_logging.enable_progress_bar()
