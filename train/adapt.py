"""Masked-language-model training of an encoder on raw articles: `stage: adapt` of `python -m train.starter`.

Whole words are masked (Cui et al. 2021, arXiv:1906.08101), of each window the part `masking`; of the masked sub-words
80 % become the mask piece, 10 % another piece, 10 % stay (Devlin et al. 2019). The learning rate warms up, stays, and falls
at the end, so that a run can be planned longer than it was without losing what it has learnt.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import nn
from transformers import (
    AutoModel,
    AutoTokenizer,
    PreTrainedTokenizerFast,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)

from kayan.runtime import bf16_is_fast
from train.backbone import SPACE
from train.config import Positive, Section, Share
from train.finetune import last_state
from train.rawtext import RawText, articles, by_weight

log = logging.getLogger("kayan.train")

IGNORED = -100


class Adapt(Section):
    """`stage: adapt`."""

    stage: Literal["adapt"]
    output: str
    backbone: str
    text: RawText
    window: Annotated[int, Field(ge=8)] = 256
    masking: Annotated[float, Field(gt=0, lt=1)] = 0.2
    # Windows kept apart to measure the loss on.
    held_out: Annotated[int, Field(ge=1)] = 128
    steps: Annotated[int, Field(ge=1)]
    batch_size: Annotated[int, Field(ge=1)] = 16
    learning_rate: Positive = 3e-4
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    warmup_steps: Annotated[int, Field(ge=0)] = 200
    # The last part of the steps, over which the rate falls to nothing.
    decay: Share = 0.2
    save_steps: Annotated[int, Field(ge=1)] = 200
    seed: int = 13

    def run(self, resume: bool) -> dict[str, Any]:
        """Train; `output` receives the encoder at every `save_steps`, log.json, and states/ to resume from."""
        set_seed(self.seed)
        run = Path(self.output)
        run.mkdir(parents=True, exist_ok=True)
        tokenizer = AutoTokenizer.from_pretrained(self.backbone)
        windows, report = self._windows(tokenizer, run)
        held, train = windows[: self.held_out], windows[self.held_out :]
        model = MaskedLM(self.backbone, train)
        bf16 = bf16_is_fast()
        arguments = TrainingArguments(
            output_dir=str(run / "states"),
            max_steps=self.steps,
            per_device_train_batch_size=self.batch_size,
            per_device_eval_batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            lr_scheduler_type="warmup_stable_decay",
            lr_scheduler_kwargs={"num_decay_steps": round(self.decay * self.steps), "decay_type": "linear"},
            warmup_steps=self.warmup_steps,
            weight_decay=self.weight_decay,
            adam_beta2=0.98,
            bf16=bf16,
            bf16_full_eval=False,
            seed=self.seed,
            data_seed=self.seed,
            eval_strategy="steps",
            eval_steps=self.save_steps,
            save_strategy="steps",
            save_steps=self.save_steps,
            save_total_limit=2,
            logging_steps=20,
            report_to=[],
            use_cpu=not torch.cuda.is_available(),
            dataloader_pin_memory=torch.cuda.is_available(),
            remove_unused_columns=False,
            label_names=["labels"],
        )
        masker = Masker(tokenizer, self.masking)
        trainer = Trainer(
            model=model,
            args=arguments,
            train_dataset=Windows(train, self.seed),
            eval_dataset=Windows(held, self.seed),
            data_collator=masker,
            callbacks=[_Export(model, tokenizer, run)],
        )
        state = last_state(run) if resume else None
        trainer.train(resume_from_checkpoint=str(state) if state else None)
        loss = trainer.evaluate()["eval_loss"]
        return {
            "text": report,
            "windows": len(train),
            "epochs": round(self.steps * self.batch_size / len(train), 2),
            "held_out_loss": round(loss, 4),
        }

    def _windows(self, tokenizer: PreTrainedTokenizerFast, run: Path) -> tuple[np.ndarray, list[dict[str, Any]]]:
        """Rows of `window` sub-words (windows, window) of an epoch, made once and kept in `run`; those held out first."""
        asked = {"text": self.text.model_dump(), "window": self.window, "seed": self.seed, "held_out": self.held_out}
        asked["tokenizer"] = hashlib.sha256(tokenizer.backend_tokenizer.to_str().encode()).hexdigest()
        file, sheet = run / "windows.npy", run / "windows.json"
        if file.is_file() and sheet.is_file() and (known := json.loads(sheet.read_text()))["asked"] == asked:
            return np.load(file, mmap_mode="r"), known["report"]
        parts, report = articles(self.text, self.seed)
        rows = [pack(tokenizer, part, self.window) for part in parts]
        # Held out is a like share of each file, the last of it; a window between the two may hold parts of both.
        total = sum(map(len, rows))
        apart = [math.ceil(self.held_out * len(part) / total) for part in rows]
        held = np.concatenate([part[len(part) - n :] for part, n in zip(rows, apart, strict=True)])[: self.held_out]
        places = [[(i, j) for j in range(len(rows[i]) - n - 1)] for i, n in enumerate(apart)]
        order = by_weight(places, [entry.weight for entry in self.text.files], self.seed)
        windows = np.concatenate([held, np.stack([rows[i][j] for i, j in order])])
        np.save(file, windows)
        sheet.write_text(json.dumps({"asked": asked, "report": report}, ensure_ascii=False), encoding="utf-8")
        return windows, report


def pack(tokenizer: PreTrainedTokenizerFast, texts: Sequence[str], window: int) -> np.ndarray:
    """The articles one after another, each between its special pieces, cut into rows (rows, window), uint16."""
    stream: list[int] = []
    for start in range(0, len(texts), 256):
        for encoding in tokenizer.backend_tokenizer.encode_batch(texts[start : start + 256]):
            stream += encoding.ids
    count = len(stream) // window
    return np.array(stream[: count * window], dtype=np.uint16).reshape(count, window)


class Windows(torch.utils.data.Dataset):
    """Rows, each with the seed of its masks."""

    def __init__(self, rows: np.ndarray, seed: int):
        self.rows, self.seed = rows, seed

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[int, np.ndarray]:
        return self.seed * 1_000_003 + int(index), np.asarray(self.rows[index], dtype=np.int64)


class Masker:
    """Rows to a batch with whole words masked; "labels" is −100 where nothing is asked."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, masking: float):
        self.masking, self.mask = masking, tokenizer.mask_token_id
        pieces = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
        self.special = np.isin(np.arange(len(pieces)), tokenizer.all_special_ids)
        # A word begins at a piece after a space (WordPiece marks those that do not), and on either side of a mark.
        wordpiece = any(piece.startswith("##") for piece in pieces)
        bodies = [piece.removeprefix("##" if wordpiece else SPACE) for piece in pieces]
        self.ends = np.array([bool(body) and not body[0].isalnum() for body in bodies]) | self.special
        opens = [not piece.startswith("##") if wordpiece else piece.startswith(SPACE) for piece in pieces]
        self.begins = np.array(opens) | self.ends
        self.ordinary = np.flatnonzero(~self.special)

    def __call__(self, rows: Sequence[tuple[int, np.ndarray]]) -> dict[str, torch.Tensor]:
        ids = np.stack([row for _, row in rows])
        given, labels = ids.copy(), np.full_like(ids, IGNORED)
        for i, (seed, row) in enumerate(rows):
            draw = np.random.default_rng(seed)
            first = self.begins[row]
            first[1:] |= self.ends[row[:-1]]
            word = np.cumsum(first)
            chosen = (draw.random(word[-1] + 1) < self.masking)[word] & ~self.special[row]
            labels[i, chosen] = row[chosen]
            fate = draw.random(len(row))
            given[i, chosen & (fate < 0.8)] = self.mask
            other = chosen & (fate >= 0.9)
            given[i, other] = draw.choice(self.ordinary, other.sum())
        return {"input_ids": torch.from_numpy(given), "labels": torch.from_numpy(labels)}


class MaskedLM(nn.Module):
    """An encoder with a head that is computed at the masked places only, tied to the embeddings."""

    def __init__(self, backbone: str, rows: np.ndarray):
        super().__init__()
        self.encoder = AutoModel.from_pretrained(
            backbone, add_pooling_layer=False, attn_implementation="sdpa" if torch.cuda.is_available() else "eager"
        )
        config = self.encoder.config
        # One pass over text does not overfit. The saved configuration keeps its dropout.
        for module in self.encoder.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
        self.transform = nn.Linear(config.hidden_size, config.hidden_size)
        nn.init.eye_(self.transform.weight)
        nn.init.zeros_(self.transform.bias)
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        # How common each piece is need not be learnt.
        counts = np.bincount(np.asarray(rows[:: max(1, len(rows) // 5000)]).ravel(), minlength=config.vocab_size) + 1.0
        self.bias = nn.Parameter(torch.from_numpy(np.log(counts / counts.sum())).float())

    def forward(self, input_ids: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        hidden = self.encoder(input_ids=input_ids).last_hidden_state
        asked = labels != IGNORED
        found = self.norm(nn.functional.gelu(self.transform(hidden[asked])))
        logits = nn.functional.linear(found, self.encoder.embeddings.word_embeddings.weight) + self.bias
        return {"loss": nn.functional.cross_entropy(logits.float(), labels[asked])}


class _Export(TrainerCallback):
    """Writes the encoder into the run folder whenever a state is saved, and the figures so far."""

    def __init__(self, model: MaskedLM, tokenizer: PreTrainedTokenizerFast, run: Path):
        self.model, self.tokenizer, self.run = model, tokenizer, run

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        fresh = self.run / "part"
        self.model.encoder.save_pretrained(fresh)
        self.tokenizer.save_pretrained(fresh)
        (fresh / "log.json").write_text(json.dumps(state.log_history, indent=1), encoding="utf-8")
        for file in fresh.iterdir():
            file.replace(self.run / file.name)
        fresh.rmdir()
