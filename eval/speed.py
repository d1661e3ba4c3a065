"""`python -m eval speed`: tagging and training against the usual way, on the same weights and articles, in one run.

Every measurement is a process of its own. The systems take turns, in every round in another order, and a ratio is taken
within a round, so that what else the machine does falls on all alike. Seconds are of the wall clock, megabytes are 10^6
bytes of RAM at their peak, words are those between white space.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import kayan.encoding
import kayan.tagger
from eval.cost import peak_megabytes
from kayan.checkpoint import inspect, resolve
from kayan.corpus import Corpus, Description, load, read_description
from kayan.document import Document, Span
from kayan.formats import jsonl, replacing, write_json
from kayan.runtime import ONNX_FILES, versions
from kayan.tagger import Tagger
from kayan.words import sentences

BASELINE = "pipeline, batch 1"
REFERENCE = "torch float32"
SYSTEMS: dict[str, dict[str, Any]] = {
    BASELINE: {"pipeline": 1},
    "pipeline, batch 16": {"pipeline": 16},
    REFERENCE: {"runtime": "torch"},
    "torch bfloat16": {"runtime": "torch", "dtype": "bfloat16"},
    "onnx float32": {"runtime": "onnx"},
    "onnx int8": {"runtime": "onnx-int8"},
}
ARTICLES = (1, 10, 100, 1000)
WORDS = (100, 1_000, 10_000, 100_000)
STAGES = ("normalising, words", "sub-words", "windows, merging", "model", "decoding", "rest")
# Articles tagged before the clock starts.
_WARM = 2


def systems(checkpoint: Path) -> list[str]:
    """The names of `SYSTEMS` that the checkpoint has graphs for."""
    needed = {"onnx": ONNX_FILES["onnx"], "onnx-int8": ONNX_FILES["onnx-int8"]}
    wanted = {name: needed.get(options.get("runtime", "")) for name, options in SYSTEMS.items()}
    return [name for name, file in wanted.items() if file is None or (checkpoint / file).is_file()]


def run(
    checkpoint: str | None,
    data: str,
    description: Description | None = None,
    rounds: int = 3,
    growth: bool = False,
    config: str | None = None,
    told: Callable[[str], None] = lambda line: None,
    articles: int | None = None,
    full: str | None = None,
    quality: int = 0,
) -> dict[str, Any]:
    """All figures as data. config: a training configuration, measured against `Trainer` with its defaults as well.
    told: receives a line for each measurement. articles: so many of the first are tagged. full: folder of a tokenizer; a
    checkpoint of AraBERT's size is made with it (`full_size`) and measured. quality: seeds with which both trainings are
    run to their end and scored on all articles."""
    if quality and not config:
        raise ValueError("the quality of training is measured with a training configuration: --training CONFIG")
    corpus = load(data, description)
    documents = list(corpus.documents[:articles])
    with tempfile.TemporaryDirectory() as scratch:
        if full:
            told(f"making a checkpoint of AraBERT's size with the tokenizer of {full}")
            checkpoint = str(full_size(full, Path(scratch) / "full"))
        folder = inspect(resolve(checkpoint)).path
        names = systems(folder)
        missing = [name for name in SYSTEMS if name not in names]
        if missing:
            told(f"left out, since kayan export made no graph: {', '.join(missing)}")
        written = Path(scratch) / "articles.jsonl"
        jsonl.write(written, documents)
        measured: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
        for turn in range(rounds):
            for name in [*names[turn % len(names) :], *names[: turn % len(names)]]:
                measured[name].append(_apart({"checkpoint": str(folder), "system": name, "articles": str(written)}))
                told(
                    f"round {turn + 1} of {rounds}: {name}: {measured[name][-1]['words_per_second']:.0f} words a second"
                )
        result: dict[str, Any] = {
            "machine": machine(),
            "checkpoint": f"AraBERT's size, random weights, the tokenizer of {full}" if full else str(folder),
            "parameters": inspect(folder).parameters,
            "data": data,
            "articles": len(documents),
            "words": _words(documents),
            "rounds": rounds,
            "tagging": _summary(measured),
            # Random weights leave it to rounding which mention is the best.
            "differences": {} if full else _differences(measured, documents),
        }
        if growth:
            result["growth"] = _growth(folder, documents, Path(scratch), told)
        if config:
            result["training"] = _training(config, rounds, Path(scratch), told)
        if config and quality:
            result["quality"] = _quality(config, quality, corpus, Path(scratch), told)
    return result


def full_size(tokenizer: str | Path, folder: Path) -> Path:
    """A checkpoint of the size of AraBERT base (12 layers × 768, windows of 512) with random weights, its vocabulary that
    of a tokenizer's folder, with both graphs."""
    import torch
    from transformers import AutoTokenizer, BertConfig, BertModel

    from kayan.checkpoint import Policy
    from kayan.encoding import TextPolicy
    from kayan.export import export
    from kayan.model import build
    from kayan.model import save as save_checkpoint
    from kayan.schema import Schema

    if not (Path(tokenizer) / "tokenizer.json").is_file():
        raise ValueError(f"{tokenizer} has no tokenizer.json: a folder with a fast tokenizer is expected")
    loaded = AutoTokenizer.from_pretrained(tokenizer)
    torch.manual_seed(0)
    BertModel(BertConfig(vocab_size=len(loaded)), add_pooling_layer=False).save_pretrained(folder / "backbone")
    schema = Schema(("PER", "ORG", "LOC", "EVENT", "DATE", "MISC"))
    policy = Policy(schema, TextPolicy("arabertv02", 512, 128))
    save_checkpoint(folder / "checkpoint", build(folder / "backbone", schema), loaded, policy)
    with contextlib.suppress(ImportError):  # Without ONNX its rows are left out.
        export(inspect(folder / "checkpoint"), list(ONNX_FILES))
    return folder / "checkpoint"


def machine() -> dict[str, Any]:
    """The processor, its cores, and the versions that matter."""
    found = versions("torch", "transformers", "onnxruntime", "numpy")
    return {"processor": _processor(), "cores": os.cpu_count(), "system": platform.platform(), **found}


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if not info.is_file():
        return platform.processor() or platform.machine()
    lines = dict(line.split(":", 1) for line in info.read_text().splitlines() if ":" in line)
    rows = {key.strip(): value.strip() for key, value in lines.items()}
    units = [flag for flag in ("avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8") if flag in rows.get("flags", "")]
    return f"{rows.get('model name', platform.machine())} ({', '.join(units) or 'no AVX-512 VNNI, bf16 or AMX'})"


def _apart(job: dict[str, Any]) -> dict[str, Any]:
    """What `_measure` says of a job, in a process of its own."""
    command = [sys.executable, "-m", "eval.speed"]
    done = subprocess.run(command, input=json.dumps(job), capture_output=True, text=True, encoding="utf-8")
    if done.returncode:
        raise RuntimeError(f"{job}: {done.stderr.strip().splitlines()[-1] if done.stderr.strip() else 'stopped'}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def _measure(job: dict[str, Any]) -> dict[str, Any]:
    documents = jsonl.read(job["articles"])
    started = time.perf_counter()
    tag, tagger = _system(job["checkpoint"], SYSTEMS[job["system"]])
    tag(documents[:1])
    ready = time.perf_counter() - started
    tag(documents[:_WARM])
    with _clocks(tagger) as spent:
        started = time.perf_counter()
        tagged = tag(documents)
        seconds = time.perf_counter() - started
    alone = []
    for document in documents[: job.get("alone", 40)]:
        started = time.perf_counter()
        tag([document])
        alone.append(time.perf_counter() - started)
    return {
        "words_per_second": _words(documents) / seconds,
        "seconds": seconds,
        "stages": _stages(spent, seconds) if tagger else None,
        "ready_seconds": ready,
        "alone_ms": [1000 * one for one in alone],
        "peak_megabytes": peak_megabytes(),
        "spans": [[[span.start, span.end, span.label] for span in spans] for spans in tagged],
    }


@contextlib.contextmanager
def _clocks(tagger: Tagger | None) -> Iterator[dict[str, float]]:
    """Seconds spent in the functions that tagging goes through, inner ones counted in outer ones too."""
    spent: dict[str, float] = defaultdict(float)

    def clocked(owner: Any, name: str) -> Any:
        function = getattr(owner, name)

        def timed(*arguments: Any) -> Any:
            started = time.perf_counter()
            try:
                return function(*arguments)
            finally:
                spent[name] += time.perf_counter() - started

        return mock.patch.object(owner, name, timed)

    with contextlib.ExitStack() as stack:
        if tagger is not None:
            for name in ("normalise", "words"):
                stack.enter_context(clocked(kayan.encoding, name))
            stack.enter_context(clocked(kayan.tagger, "decode"))
            stack.enter_context(clocked(tagger.encoder, "encode_batch"))
            for name in ("logits", "runtime"):
                stack.enter_context(clocked(tagger, name))
        yield spent


def _stages(spent: dict[str, float], seconds: float) -> dict[str, float]:
    """The shares of `STAGES`, which sum to 1."""
    text = spent["normalise"] + spent["words"]
    known = [text, spent["encode_batch"] - text, spent["logits"] - spent["runtime"], spent["runtime"], spent["decode"]]
    return dict(zip(STAGES, [part / seconds for part in (*known, seconds - sum(known))], strict=True))


def _system(
    checkpoint: str, options: dict[str, Any]
) -> tuple[Callable[[Sequence[Document]], list[Sequence[Span]]], Tagger | None]:
    if "pipeline" not in options:
        tagger = Tagger.load(checkpoint, device="cpu", **options)
        return lambda documents: [document.spans for document in tagger(documents)], tagger
    from transformers import pipeline
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    usual = pipeline("token-classification", model=checkpoint, aggregation_strategy="first", device="cpu")

    def tag(documents: Sequence[Document]) -> list[Sequence[Span]]:
        # A sentence at a time, as its users do: an article is longer than it reads.
        cut = [(i, document.text[a:b]) for i, document in enumerate(documents) for a, b in sentences(document.text)]
        usual([text for _, text in cut], batch_size=options["pipeline"])
        return [() for _ in documents]

    return tag, None


def _words(documents: Sequence[Document]) -> int:
    return sum(len(document.text.split()) for document in documents)


def _summary(measured: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Of each system, the median and the range over rounds: words a second, times the baseline, milliseconds of an article
    alone (median, 95th percentile), times the baseline, seconds until the first article is tagged, megabytes."""
    base = measured[BASELINE]
    rows = {}
    for name, turns in measured.items():
        speed = [turn["words_per_second"] for turn in turns]
        ratio = [turn["words_per_second"] / other["words_per_second"] for turn, other in zip(turns, base, strict=True)]
        middle = [statistics.median(turn["alone_ms"]) for turn in turns]
        alone = [statistics.median(o["alone_ms"]) / m for o, m in zip(base, middle, strict=True)]
        rows[name] = {
            "words_per_second": _spread(speed),
            "times": _spread(ratio),
            "alone_ms_p50": _spread(middle),
            "alone_ms_p95": _spread([_percentile(turn["alone_ms"], 0.95) for turn in turns]),
            "times_alone": _spread(alone),
            "ready_seconds": _spread([turn["ready_seconds"] for turn in turns]),
            "peak_megabytes": max(turn["peak_megabytes"] or 0 for turn in turns),
        }
        if turns[0]["stages"]:
            rows[name]["stages"] = {stage: _spread([turn["stages"][stage] for turn in turns]) for stage in STAGES}
    return rows


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {
        "median": round(statistics.median(values), 4),
        "least": round(min(values), 4),
        "most": round(max(values), 4),
    }


def _percentile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def _differences(measured: dict[str, list[dict[str, Any]]], documents: Sequence[Document]) -> dict[str, Any]:
    """Of each system of kayan's, the share of spans that it and PyTorch in float32 both have, and the others by name."""
    sets = {
        name: {(i, *span) for i, spans in enumerate(turns[0]["spans"]) for span in spans}
        for name, turns in measured.items()
        if "pipeline" not in SYSTEMS[name]
    }
    reference = sets[REFERENCE]
    found = {}
    for name, spans in sets.items():
        both = len(spans & reference)
        sides = (("only it", spans - reference), (f"only {REFERENCE}", reference - spans))
        found[name] = {
            "identical": round(both / max(1, len(spans | reference)), 4),
            "spans": len(spans),
            "others": [
                {
                    "article": documents[i].id,
                    "side": side,
                    "start": a,
                    "end": b,
                    "label": label,
                    "text": documents[i].text[a:b],
                }
                for side, rest in sides
                for i, a, b, label in sorted(rest)
            ],
        }
    return found


def _growth(
    checkpoint: Path, documents: Sequence[Document], scratch: Path, told: Callable[[str], None]
) -> dict[str, Any]:
    """Seconds and memory by the number of articles, and by the words of one article, on the runtime that `Tagger` takes."""
    text = "\n".join(document.text for document in documents).split(" ")
    name = "onnx float32" if "onnx float32" in systems(checkpoint) else REFERENCE
    tables: dict[str, Any] = {"system": name, "articles": [], "words": []}
    inputs = [("articles", n, _repeated(documents, n)) for n in ARTICLES]
    inputs += [("words", n, [Document(" ".join((text * (n // len(text) + 1))[:n]), id="long")]) for n in WORDS]
    for table, n, articles in inputs:
        jsonl.write(scratch / "growth.jsonl", articles)
        job = {"checkpoint": str(checkpoint), "system": name, "articles": str(scratch / "growth.jsonl"), "alone": 0}
        one = _apart(job)
        row = {table: n, "seconds": one["seconds"], "words_per_second": one["words_per_second"]}
        tables[table].append({**row, "peak_megabytes": one["peak_megabytes"]})
        told(f"{n} {table}: {one['seconds']:.2f} s, {one['peak_megabytes']} MB")
    return tables


def _repeated(documents: Sequence[Document], count: int) -> list[Document]:
    return [Document(documents[i % len(documents)].text, id=str(i)) for i in range(count)]


def _training(config: str, rounds: int, scratch: Path, told: Callable[[str], None]) -> dict[str, Any]:
    """An epoch of `python -m train CONFIG` and one of `Trainer` with its defaults, as transformers' `run_ner.py` trains,
    from the same backbone on the same articles; words a second of the training loop."""
    import yaml

    settings = yaml.safe_load(Path(config).read_text(encoding="utf-8"))
    entries = settings["data"]["train"]
    if len(entries) != 1:
        raise ValueError(f"{config}: one training corpus is expected, to train both on; found {len(entries)}")
    path = Path(settings["data"].get("root", ".")) / entries[0]["path"]
    corpus = entries[0].get("corpus")
    documents = list(load(path, read_description(corpus) if corpus else None).documents)
    jsonl.write(scratch / "train.jsonl", documents)
    jsonl.write(scratch / "one.jsonl", documents[:1])
    rows: dict[str, list[float]] = {"Trainer defaults": [], "kayan": []}
    for turn in range(rounds):
        for name in list(rows)[:: 1 if turn % 2 == 0 else -1]:
            if name == "kayan":
                out = scratch / f"run-{turn}"
                _train(config, out, "training.epochs=1", f"data.validation=[{{path: {scratch / 'one.jsonl'}}}]")
                history = json.loads((out / "metrics.json").read_text(encoding="utf-8"))["history"]
                seconds = next(entry["train_runtime"] for entry in reversed(history) if "train_runtime" in entry)
            else:
                job = {"trainer": settings["model"]["backbone"], "out": str(scratch / "usual")}
                job["articles"] = str(scratch / "train.jsonl")
                seconds = _apart(job)["seconds"]
            rows[name].append(_words(documents) / seconds)
            told(f"training, round {turn + 1} of {rounds}: {name}: {rows[name][-1]:.0f} words a second")
    ratio = [ours / usual for ours, usual in zip(rows["kayan"], rows["Trainer defaults"], strict=True)]
    speeds = {name: _spread(values) for name, values in rows.items()}
    return {"config": config, "words": _words(documents), "words_per_second": speeds, "times": _spread(ratio)}


def _train(config: str, out: Path, *overrides: str) -> None:
    command = [sys.executable, "-m", "train", config, f"output={out}", *overrides]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8")
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[1:])}: {done.stderr.strip().splitlines()[-1]}")


def _quality(config: str, seeds: int, gold: Corpus, scratch: Path, told: Callable[[str], None]) -> dict[str, Any]:
    """Micro F1, exact to the character, of `python -m train CONFIG`, its best epoch on the configuration's own validation
    articles, and of `Trainer` with its defaults after as many epochs, used through `pipeline`. `_training` has left the
    training articles in `scratch`."""
    import yaml

    # Here, since what it imports would weigh on the memory of each measurement.
    from eval.report import strict_f1

    jsonl.write(scratch / "gold.jsonl", gold.documents)
    scores: dict[str, list[float]] = {"Trainer defaults": [], "kayan": []}
    for seed in range(1, seeds + 1):
        out = scratch / f"quality-{seed}"
        _train(config, out, f"training.seed={seed}", "training.patience=null")
        settings = yaml.safe_load((out / "config.yaml").read_text(encoding="utf-8"))
        job = {"trainer": settings["model"]["backbone"], "out": str(scratch / "usual"), "seed": seed}
        job |= {"articles": str(scratch / "train.jsonl"), "epochs": settings["training"]["epochs"]}
        spans = _apart({**job, "tag": str(scratch / "gold.jsonl")})["spans"]
        usual = [
            one.with_spans(Span(*span) for span in found) for one, found in zip(gold.documents, spans, strict=True)
        ]
        for name, tagged in (("kayan", Tagger.load(out / "best")(gold.documents)), ("Trainer defaults", usual)):
            scores[name].append(round(strict_f1(gold.declaration, settings["types"], gold.documents, tagged), 4))
            told(f"quality, seed {seed} of {seeds}: {name}: F1 {scores[name][-1]:.4f}")
    return {"config": config, "epochs": settings["training"]["epochs"], "f1": scores}


def _usual_training(job: dict[str, Any]) -> dict[str, Any]:
    """`Trainer` on sentences, all settings at their defaults: batches of 8 as they come, float32. The articles of
    `job["tag"]` are tagged afterwards."""
    import torch
    from transformers import (
        AutoModelForTokenClassification,
        AutoTokenizer,
        DataCollatorForTokenClassification,
        Trainer,
        TrainingArguments,
        set_seed,
    )

    from kayan.encoding import word_tags
    from kayan.words import words

    backbone = resolve(job["trainer"])
    tokenizer = AutoTokenizer.from_pretrained(backbone)
    documents = jsonl.read(job["articles"])
    tags = sorted({f"{side}-{span.label}" for document in documents for span in document.spans for side in "BI"})
    number = {tag: i for i, tag in enumerate(["O", *tags])}
    rows = []
    for document in documents:
        found = words(document.text)
        marks = word_tags(document, found)[0]
        for a, b in sentences(document.text):
            inside = [i for i, (start, end) in enumerate(found) if a <= start and end <= b]
            if inside:
                pieces = [document.text[slice(*found[i])] for i in inside]
                row = tokenizer(pieces, is_split_into_words=True, truncation=True, max_length=512)
                owners = row.word_ids()
                firsts = [k is not None and k not in owners[:j] for j, k in enumerate(owners)]
                labels = [number[marks[inside[k]]] if first else -100 for k, first in zip(owners, firsts, strict=True)]
                rows.append({"input_ids": row["input_ids"], "labels": labels})
    seed = job.get("seed", 42)  # The default of `TrainingArguments`.
    set_seed(seed)
    model = AutoModelForTokenClassification.from_pretrained(
        backbone, id2label=dict(enumerate(number)), label2id=number, ignore_mismatched_sizes=True, dtype=torch.float32
    )
    arguments = TrainingArguments(
        output_dir=job["out"],
        num_train_epochs=job.get("epochs", 1),
        seed=seed,
        report_to=[],
        save_strategy="no",
        use_cpu=True,
        disable_tqdm=True,
    )
    collator = DataCollatorForTokenClassification(tokenizer)
    trainer = Trainer(model=model, args=arguments, train_dataset=rows, data_collator=collator)
    seconds = trainer.train().metrics["train_runtime"]
    return {"seconds": seconds, "spans": _usual_spans(model, tokenizer, jsonl.read(job["tag"])) if "tag" in job else []}


def _usual_spans(model: Any, tokenizer: Any, documents: Sequence[Document]) -> list[list[tuple[int, int, str]]]:
    """Start, end and label of what `pipeline` finds in each article, sentence by sentence."""
    from transformers import pipeline

    usual = pipeline(
        "token-classification", model.eval(), tokenizer=tokenizer, aggregation_strategy="first", device="cpu"
    )
    tagged = []
    for document in documents:
        spans = []
        for a, b in sentences(document.text):
            for found in usual(document.text[a:b]):
                start, end = a + found["start"], a + found["end"]
                # A sub-word may begin with the space before it.
                start += len(document.text[start:end]) - len(document.text[start:end].lstrip())
                if start < end:
                    spans.append((start, end, found["entity_group"]))
        tagged.append(spans)
    return tagged


def markdown(result: dict[str, Any]) -> str:
    """The figures as Markdown tables."""
    return "\n".join(_lines(result)) + "\n"


def _lines(result: dict[str, Any]) -> Iterator[str]:
    box = result["machine"]
    yield f"{box['processor']}, {box['cores']} cores; torch {box['torch']}, transformers {box['transformers']},"
    yield f"ONNX Runtime {box['onnxruntime']}. {result['checkpoint']}, {result['parameters'] / 1e6:.1f} M parameters;"
    yield f"{result['articles']} articles, {result['words']} words; the median of {result['rounds']} rounds, the range in "
    yield "brackets."
    yield ""
    yield "| tagging | words a second | times the pipeline | one article, ms (95 %) | times | ready, s | MB | same spans |"
    yield "|---|---|---|---|---|---|---|---|"
    for name, row in result["tagging"].items():
        same = result["differences"].get(name)
        yield (
            f"| {name} | {row['words_per_second']['median']:.0f} | {_shown(row['times'])} | "
            f"{row['alone_ms_p50']['median']:.0f} ({row['alone_ms_p95']['median']:.0f}) | {_shown(row['times_alone'])} | "
            f"{row['ready_seconds']['median']:.1f} | {row['peak_megabytes']:.0f} | "
            f"{'' if same is None else format(same['identical'], '.2%')} |"
        )
    yield ""
    yield f"| where the time goes | {' | '.join(STAGES)} |"
    yield "|---" * (1 + len(STAGES)) + "|"
    for name, row in result["tagging"].items():
        if stages := row.get("stages"):
            yield f"| {name} | {' | '.join(format(stages[stage]['median'], '.1%') for stage in STAGES)} |"
    for table, rows in result.get("growth", {}).items():
        if table != "system":
            yield ""
            yield f"| {table} ({result['growth']['system']}) | seconds | words a second | MB |"
            yield "|---|---|---|---|"
            for row in rows:
                yield (
                    f"| {row[table]:,} | {row['seconds']:.2f} | {row['words_per_second']:.0f} | "
                    f"{row['peak_megabytes']:.0f} |"
                )
    if training := result.get("training"):
        yield ""
        yield f"| training, {training['words']} words | words a second | times |"
        yield "|---|---|---|"
        for name, speed in training["words_per_second"].items():
            yield f"| {name} | {speed['median']:.0f} | {_shown(training['times']) if name == 'kayan' else '1'} |"
    if quality := result.get("quality"):
        yield ""
        yield f"| F1 after {quality['epochs']:g} epochs | median | by seed |"
        yield "|---|---|---|"
        for name, scores in quality["f1"].items():
            yield f"| {name} | {statistics.median(scores):.3f} | {', '.join(format(one, '.3f') for one in scores)} |"


def _shown(spread: dict[str, float]) -> str:
    return f"{spread['median']:.2f} ({spread['least']:.2f}–{spread['most']:.2f})"


def save(result: dict[str, Any], out: str | Path) -> None:
    """Write speed.json and speed.md into the folder."""
    write_json(Path(out) / "speed.json", result, indent=1)
    with replacing(Path(out) / "speed.md") as file:
        file.write(markdown(result))


if __name__ == "__main__":
    asked = json.load(sys.stdin)
    sys.stdout.write(json.dumps(_usual_training(asked) if "trainer" in asked else _measure(asked)) + "\n")
