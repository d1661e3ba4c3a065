"""Fine-tune a token classifier: corpora and a configuration in, a run folder with the best checkpoint out."""

from __future__ import annotations

import dataclasses
import logging
import math
import os
import platform
import re
import shutil
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from transformers import (
    AutoConfig,
    AutoTokenizer,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)

import kayan
from kayan.checkpoint import POLICY_FILE, Policy, inspect, position_limit, recalibrate, resolve
from kayan.corpus import Corpus, check_labels, comparable, load, to_datasets
from kayan.document import Document
from kayan.encoding import IGNORED, Encoder
from kayan.formats import replacing, write_json
from kayan.model import TaggerModel, build, save
from kayan.runtime import bf16_is_fast
from kayan.schema import TagSets
from kayan.scoring import SpanScorer
from kayan.tagger import Tagger
from train.calibrate import fit_temperature, fit_threshold
from train.card import write_card
from train.config import Config, CorpusFile
from train.windows import source_digest, windows

log = logging.getLogger("kayan.train")


class RunError(RuntimeError):
    """A run that cannot start or go on; the message says why and what to do."""


def finetune(config: Config, resume: bool = False, progress: bool = True) -> dict[str, Any]:
    """Train as `config` says; returns the best epoch's validation figures. `progress` shows bars.

    The run folder `config.output` receives: config.yaml, environment.json, data.json (hashes, sizes, unreachable gold),
    metrics.json (one entry an evaluation), tensorboard/, states/ (to resume from) and best/, the checkpoint with the
    highest span-F1 on validation, with its model card. Raises `RunError` when the folder holds another run, or none
    to resume; `FormatError` and `SchemaError` for corpora that do not fit.
    """
    started = time.monotonic()
    run = Path(config.output)
    if resume:
        _check_resumable(run, config)
    # Before anything random, and before the heads are made.
    set_seed(config.training.seed)
    backbone = resolve(config.model.backbone)
    tokenizer = AutoTokenizer.from_pretrained(backbone)
    if not tokenizer.is_fast:
        raise RunError(f"{backbone} has no fast tokenizer (tokenizer.json); offsets need one")
    limit = position_limit(AutoConfig.from_pretrained(backbone).to_dict())
    if limit is not None and config.text.window > limit:
        raise RunError(f"text.window is {config.text.window} sub-words, but {backbone} has positions for {limit}")
    encoder = Encoder(tokenizer.backend_tokenizer, config.text.policy(), tokenizer.pad_token_id or 0)

    parts = {part: [_corpus(entry, config) for entry in getattr(config.data, part)] for part in ("train", "validation")}
    if config.debug.overfit:
        parts["train"] = parts["validation"] = [_one_batch(parts["train"][0], config, encoder)]
    sets = TagSets(config.schema_)
    train_set, unreachable = windows(
        parts["train"], config, encoder, sets, Path(config.data.cache) if config.data.cache else run / "windows"
    )
    if not len(train_set):
        raise RunError("the training corpora hold no text")

    model = build(
        backbone,
        config.schema_,
        config.model.proclitics,
        dropout=0.0 if config.debug.overfit else config.model.dropout,
        attention_dropout=0.0 if config.debug.overfit else config.model.attention_dropout,
        table=sets.table,
        label_smoothing=0.0 if config.debug.overfit else config.training.label_smoothing,
        class_weights=_class_weights(config),
    )
    if config.model.attention:
        model.classifier.set_attn_implementation(config.model.attention)
    policy = Policy(
        config.schema_,
        config.text.policy(),
        config.model.proclitics,
        version=kayan.__version__,
        trained_on=lineage(
            backbone,
            [
                {"name": corpus.name, "sha256": corpus.sha256, "licence": corpus.licence, "articles": len(corpus)}
                for corpus in parts["train"]
            ],
        ),
    )
    arguments = _arguments(config, run, len(train_set), progress)
    main_process = arguments.process_index == 0
    if main_process:
        _open_run(run, config, parts, len(train_set), unreachable, resume)
    trainer = SpanTrainer(
        model=model,
        args=arguments,
        train_dataset=train_set,
        eval_dataset=to_datasets({"validation": parts["validation"]})["validation"],
        data_collator=Collator(encoder),
        callbacks=[EarlyStop(config.training.patience)],
    )
    if not progress:
        trainer.remove_callback(PrinterCallback)  # what the Trainer puts in the place of a bar
    trainer.prepare(config, run, encoder, tokenizer, policy, parts["validation"])
    state = last_state(run) if resume else None
    if resume and state is None:
        log.warning("no resumable state in %s: starting from the beginning", run / "states")
    trainer.train(resume_from_checkpoint=str(state) if state else None)

    # The others may still be writing into states/, which the first removes at the end.
    trainer.accelerator.wait_for_everyone()
    if not main_process:
        return trainer.best
    best = run / "best"
    if not config.debug.overfit:
        # A mention that a corpus never marks, or marks elsewhere in the word, would look like a mistake.
        exact = [one for one in parts["validation"] if one.declaration.annotates is None and one.declaration.proclitics]
        documents = [document for one in exact for document in one.documents]
        trainer.best |= calibrate(best, documents)
    trainer.best["seconds"] = round(time.monotonic() - started, 1)
    write_json(run / "metrics.json", {"best": trainer.best, "history": trainer.history()})
    write_card(best, config, parts, trainer.best)
    for name in ("states", "windows"):
        shutil.rmtree(run / name, ignore_errors=True)
    return trainer.best


def lineage(backbone: str | Path, own: Sequence[Mapping[str, Any]]) -> tuple[Mapping[str, Any], ...]:
    """The corpora of a run, then those that its backbone was trained on before, if that is a tagger of kayan's."""
    before = inspect(backbone).policy.trained_on if (Path(backbone) / POLICY_FILE).is_file() else ()
    known = {entry["sha256"] for entry in own}
    return (*own, *(entry for entry in before if entry.get("sha256") not in known))


def calibrate(checkpoint: Path, documents: Sequence[Document]) -> dict[str, float]:
    """Fit the temperature and the threshold of a checkpoint on annotated articles, and store them in it."""
    tagger = Tagger.load(checkpoint)
    temperature = fit_temperature(tagger, documents)
    tagger.policy = dataclasses.replace(tagger.policy, temperature=temperature)
    threshold = fit_threshold(tagger, documents)
    recalibrate(checkpoint, temperature, threshold)
    return {"temperature": round(temperature, 4), "threshold": threshold}


class SpanTrainer(Trainer):
    """The Hugging Face Trainer, with layer-wise learning rates, and evaluation on whole validation articles."""

    control: Any
    optimizer: Any

    def prepare(
        self,
        config: Config,
        run: Path,
        encoder: Encoder,
        tokenizer: Any,
        policy: Policy,
        validation: Sequence[Corpus],
    ) -> None:
        self.run, self.settings, self.encoder, self.tokenizer = run, config, encoder, tokenizer
        self.policy, self.validation = policy, validation
        self.best: dict[str, Any] = {}

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """Character-strict span scores of the validation articles, tagged whole; the best model so far is saved."""
        model: Any = self.accelerator.unwrap_model(self.model)
        training = model.training
        model.eval()
        tagger = Tagger(self.encoder, _InMemory(model, self.args), self.policy)
        scorer = SpanScorer(self.policy.schema.types)
        for corpus in self.validation:
            for gold, predicted in zip(corpus.documents, tagger.stream(corpus.documents), strict=True):
                scorer.add(*(comparable(document, corpus.declaration, gold) for document in (gold, predicted)))
        model.train(training)
        metrics = {f"eval_{name}": value for name, value in validation_figures(scorer).items()}
        self.log({**metrics, "epoch": self.state.epoch or 0.0})
        best = best_so_far(self.state.log_history[:-1])
        if best is None or metrics["eval_span_f1"] > best["eval_span_f1"]:
            best = self.state.log_history[-1]
            if self.args.process_index == 0:
                self._save_best(model)
        self.best = {
            name: value for name, value in best.items() if name.startswith("eval_") or name in ("epoch", "step")
        }
        if self.args.process_index == 0:
            write_json(self.run / "metrics.json", {"best": self.best, "history": self.history()})
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def _save_best(self, model: TaggerModel) -> None:
        """Write the checkpoint beside its place and exchange the two, so that a kill leaves a whole one."""
        best, fresh, former = (self.run / name for name in ("best", "best.part", "best.former"))
        shutil.rmtree(fresh, ignore_errors=True)
        save(fresh, model, self.tokenizer, self.policy, half=self.settings.training.half)
        if best.is_dir():
            shutil.rmtree(former, ignore_errors=True)
            best.rename(former)
        fresh.rename(best)
        shutil.rmtree(former, ignore_errors=True)

    def history(self) -> list[dict[str, Any]]:
        """What was logged, in order."""
        return list(self.state.log_history)

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        if self.optimizer is None:
            groups = parameter_groups(self.accelerator.unwrap_model(self.model), self.settings)
            kind, options = self.get_optimizer_cls_and_kwargs(self.args)
            options.pop("lr", None)
            self.optimizer = kind(groups, lr=self.args.learning_rate, **options)
        return self.optimizer


class EarlyStop(TrainerCallback):
    """Stops after `patience` evaluations without a better span-F1. It keeps no state but the Trainer's log, so a resumed
    run stops where an uninterrupted one does."""

    def __init__(self, patience: int | None):
        self.patience = patience

    def on_evaluate(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        scores = [entry["eval_span_f1"] for entry in state.log_history if "eval_span_f1" in entry]
        if self.patience and len(scores) - 1 - int(np.argmax(scores)) >= self.patience:
            control.should_training_stop = True


class Collator:
    """Rows to tensors: ids padded with the padding id under a zero mask, labels with −100."""

    def __init__(self, encoder: Encoder):
        self.encoder = encoder

    def __call__(self, rows: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
        ids, mask = self.encoder.pad([row["input_ids"] for row in rows])
        batch = {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)}
        for key in ("labels", "particles"):
            padded = np.full(ids.shape, IGNORED, dtype=np.int64)
            for i, row in enumerate(rows):
                padded[i, : len(row[key])] = row[key]
            batch[key] = torch.from_numpy(padded)
        return batch


class _InMemory:
    """The model under training as a runtime."""

    def __init__(self, model: Any, args: TrainingArguments):
        self.model, self.args = model, args

    def __call__(self, ids: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        device = self.args.device
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=self.args.bf16):
            output = self.model(torch.from_numpy(ids).to(device), torch.from_numpy(mask).to(device))
        particles = output.get("particle_logits")
        tags = output["logits"].float().cpu().numpy()
        return tags, None if particles is None else particles.float().cpu().numpy()


def validation_figures(scorer: SpanScorer) -> dict[str, float]:
    """The figures of an evaluation during training: micro precision, recall and F1, F1 by type, particles right."""
    micro = scorer.micro("strict")
    figures = {
        "span_f1": micro.f1,
        "span_precision": micro.precision,
        "span_recall": micro.recall,
        "particles_right": scorer.particles.accuracy,
    }
    figures |= {f"f1_{name}": counts.f1 for name, counts in scorer.per_type("strict").items() if counts.gold}
    return {name: round(float(value), 6) for name, value in figures.items()}


def best_so_far(history: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """The evaluation with the highest span-F1, the earliest of equals."""
    evaluations = [entry for entry in history if "eval_span_f1" in entry]
    return max(evaluations, key=lambda entry: entry["eval_span_f1"], default=None)


def parameter_groups(model: TaggerModel, config: Config) -> list[dict[str, Any]]:
    """Parameters by learning rate and weight decay: heads at the head's rate; the encoder's layer k of n at
    rate × decay^(n − k), embeddings below the first layer (ULMFiT's discriminative rates: Howard & Ruder, ACL 2018).
    Biases and normalisation weights do not decay."""
    training = config.training
    layer_of = re.compile(r"\.layers?\.(\d+)\.")
    depth = 1 + max((int(m[1]) for name, _ in model.named_parameters() if (m := layer_of.search(name))), default=-1)
    groups: dict[tuple[float, float], list[Any]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        match = layer_of.search(name)
        if match:
            rate = training.learning_rate * training.layer_decay ** (depth - 1 - int(match[1]))
        elif "embeddings" in name:
            rate = training.learning_rate * training.layer_decay**depth
        elif name.startswith("proclitic.") or ".classifier." in name or ".score." in name:
            rate = training.head_learning_rate or training.learning_rate
        else:
            rate = training.learning_rate
        decay = 0.0 if parameter.ndim < 2 else training.weight_decay
        groups.setdefault((rate, decay), []).append(parameter)
    return [{"params": members, "lr": rate, "weight_decay": decay} for (rate, decay), members in groups.items()]


def _corpus(entry: CorpusFile, config: Config) -> Corpus:
    corpus = load(entry.under(config.data.root), entry.description())
    if config.debug.articles:
        corpus = dataclasses.replace(corpus, documents=corpus.documents[: config.debug.articles])
    check_labels(corpus, config.schema_)
    return corpus


def _one_batch(corpus: Corpus, config: Config, encoder: Encoder) -> Corpus:
    """As many of the corpus's first articles as fill one batch of windows, at least one."""
    windows, count = 0, 0
    for document in corpus.documents:
        windows += len(encoder.encode(document.text).windows)
        if windows > config.training.batch_size:
            break
        count += 1
    return dataclasses.replace(corpus, documents=corpus.documents[: max(1, count)])


def _class_weights(config: Config) -> list[float] | None:
    weights = config.training.class_weights
    if not weights:
        return None
    return [weights.get(tag if tag == "O" else tag[2:], 1.0) for tag in config.schema_.tags]


def _arguments(config: Config, run: Path, rows: int, progress: bool) -> TrainingArguments:
    training, debug = config.training, config.debug
    bf16 = bf16_is_fast() if training.bf16 == "auto" else training.bf16
    world = int(os.environ.get("WORLD_SIZE", "1"))
    steps_an_epoch = math.ceil(rows / (training.batch_size * world * training.gradient_accumulation))
    steps = debug.steps if debug.overfit else max(1, round(training.epochs * steps_an_epoch))
    os.environ["TENSORBOARD_LOGGING_DIR"] = str(run / "tensorboard")
    return TrainingArguments(
        output_dir=str(run / "states"),
        max_steps=steps,
        per_device_train_batch_size=training.batch_size,
        gradient_accumulation_steps=training.gradient_accumulation,
        learning_rate=training.learning_rate,
        lr_scheduler_type=training.schedule,
        warmup_steps=round(training.warmup * steps),
        weight_decay=training.weight_decay,
        max_grad_norm=training.max_grad_norm,
        bf16=bf16,
        seed=training.seed,
        data_seed=training.seed,
        train_sampling_strategy="group_by_length",
        length_column_name="length",
        eval_strategy="steps" if debug.overfit else "epoch",
        eval_steps=steps if debug.overfit else None,
        save_strategy="no" if debug.overfit else "steps" if training.save_steps else "epoch",
        save_steps=training.save_steps or 500,
        save_total_limit=2,
        logging_steps=max(1, min(50, steps // 8)),
        report_to="tensorboard",
        disable_tqdm=None if progress else True,
        use_cpu=not torch.cuda.is_available() and not torch.backends.mps.is_available(),
        dataloader_pin_memory=torch.cuda.is_available(),
        ddp_find_unused_parameters=False,
        remove_unused_columns=False,
        label_names=["labels"],
    )


def _check_resumable(run: Path, config: Config) -> None:
    written = run / "config.yaml"
    if not written.is_file():
        raise RunError(f"there is no run to resume in {run}")
    settings, before = config.model_dump(mode="json"), yaml.safe_load(written.read_text(encoding="utf-8"))
    if before != settings:
        changed = sorted(key for key in settings if before.get(key) != settings[key])
        raise RunError(f"{run} was started with other settings ({', '.join(changed)}); resume with the same ones")


def _open_run(
    run: Path,
    config: Config,
    parts: dict[str, list[Corpus]],
    rows: int,
    unreachable: Sequence[Mapping[str, str]],
    resume: bool,
) -> None:
    if resume:
        if (run / "best.former").is_dir() and not (run / "best").is_dir():
            (run / "best.former").rename(run / "best")
    else:
        for name in ("states", "best", "best.part", "best.former", "tensorboard"):
            shutil.rmtree(run / name, ignore_errors=True)
    with replacing(run / "config.yaml") as file:
        yaml.safe_dump(config.model_dump(mode="json"), file, allow_unicode=True, sort_keys=False)
    write_json(run / "environment.json", environment())
    write_json(
        run / "data.json",
        {
            **{
                part: [
                    {
                        "name": corpus.name,
                        "path": entry.path,
                        "sha256": corpus.sha256,
                        "licence": corpus.licence,
                        "articles": len(corpus),
                        "mentions": sum(len(document.spans) for document in corpus.documents),
                    }
                    for corpus, entry in zip(corpora, getattr(config.data, part), strict=True)
                ]
                for part, corpora in parts.items()
            },
            "training_windows": rows,
            "unreachable_gold": unreachable,
        },
    )
    if unreachable:
        log.warning("%d gold mentions cannot be taught exactly: see %s", len(unreachable), run / "data.json")


def environment() -> dict[str, Any]:
    """What a run needs to be repeated: versions, processor, and the hash of the program's own source."""
    packages = ("kayan", "torch", "transformers", "tokenizers", "datasets", "accelerate", "numpy")
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processors": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "accelerator": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "packages": {name: version(name) for name in packages},
        "source_sha256": source_digest(),
    }


def last_state(run: Path) -> Path | None:
    """The newest state that was written to its end: the Trainer writes trainer_state.json last but one."""
    states = [path for path in (run / "states").glob("checkpoint-*") if (path / "trainer_state.json").is_file()]
    return max(states, key=lambda path: int(path.name.rsplit("-", 1)[1]), default=None)
