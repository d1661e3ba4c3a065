"""`python -m train.curve CONFIG TEST`: how many annotated articles buy how much; fine-tune on more and more of them."""

from __future__ import annotations

import json
import logging
import math
import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import click

from kayan.corpus import load
from kayan.document import Document
from kayan.formats import jsonl, write_json
from kayan.terminal import echo
from train import Programs
from train import config as configuration
from train.config import Config

log = logging.getLogger("kayan.train")

# A run on few articles goes over them more often, to take at least this many steps.
LEAST_STEPS = 60


def subset(settings: Config, size: int, seed: int, folder: Path) -> Config:
    """The configuration with its first training corpus cut to `size` articles, written to `folder`: the smaller sets are
    parts of the larger ones. Raises `ValueError` for more articles than there are."""
    entry = settings.data.train[0]
    corpus = load(entry.under(settings.data.root), entry.description())
    if not 0 < size <= len(corpus):
        raise ValueError(f"{size} articles are asked for; {entry.path} has {len(corpus)}")
    documents = list(corpus.documents)
    random.Random(seed).shuffle(documents)
    return with_articles(settings, documents[:size], corpus.name, seed, folder)


def with_articles(settings: Config, documents: Sequence[Document], name: str, seed: int, folder: Path) -> Config:
    """The configuration with these articles, written to `folder`, in place of its first training corpus, whose
    description is theirs; `name` where it has none."""
    entry = settings.data.train[0]
    jsonl.write(folder / "train.jsonl", documents)
    data: dict[str, Any] = settings.model_dump()
    data["output"] = str(folder / "run")
    said = entry.description()
    # The articles were read as it says: their file has another format, and the new names of labels already.
    description = {
        "name": said.name or name,
        "licence": said.licence,
        "annotates": None if said.annotates is None else list(said.annotates),
        "proclitics": said.proclitics,
        "labels": {label: None for label, to in said.labels.items() if to is None},
        "counts_as": dict(said.counts_as),
    }
    data["data"]["train"][0] |= {"path": str((folder / "train.jsonl").absolute()), "corpus": description}
    steps = math.ceil(len(documents) * entry.weight / settings.training.batch_size)
    data["training"]["epochs"] = max(settings.training.epochs, math.ceil(LEAST_STEPS / steps))
    data["training"]["seed"] = seed
    return Config.model_validate(data)


def score(checkpoint: str, test: str, corpus: str | None, out: Path) -> dict[str, Any]:
    """The figures of `python -m eval`, kept in `out`."""
    if not (out / "metrics.json").is_file():
        described = ["--corpus", corpus] if corpus else []
        subprocess.run([sys.executable, "-m", "eval", checkpoint, test, *described, "--out", str(out)], check=True)
    [result] = json.loads((out / "metrics.json").read_text(encoding="utf-8"))["data"]
    return dict(result["character_span_strict"])


def curve(
    settings: Config, test: str, corpus: str | None, sizes: Sequence[int], seeds: Sequence[int], out: Path
) -> dict[str, Any]:
    """Fine-tune for every size and seed and score on `test`; runs that are done are not repeated. Size 0 is the backbone
    itself."""
    from train.finetune import finetune

    points = []
    for size in sizes:
        runs = []
        for seed in seeds if size else seeds[:1]:
            folder = out / f"{size}-{seed}"
            checkpoint = settings.model.backbone
            if size:
                single = subset(settings, size, seed, folder)
                checkpoint = f"{single.output}/best"
                if not (folder / "report" / "metrics.json").is_file():
                    finetune(single)
            runs.append(score(checkpoint, test, corpus, folder / "report"))
        f1 = [run["micro"]["f1"] for run in runs]
        types = {name: fmean(run["per_type"][name]["f1"] for run in runs) for name in runs[0]["per_type"]}
        points.append({"articles": size, "f1": fmean(f1), "least": min(f1), "most": max(f1), "types": types})
        log.info("%d articles: F1 %.3f", size, fmean(f1))
    result = {"test": test, "seeds": list(seeds), "points": points}
    write_json(out / "curve.json", result, indent=1)
    return result


@click.command(cls=Programs, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("config", type=click.Path(dir_okay=False))
@click.argument("test", type=click.Path(dir_okay=False))
@click.argument("overrides", nargs=-1)
@click.option("--corpus", type=click.Path(dir_okay=False), help="YAML file that says what TEST annotates.")
@click.option("--sizes", default="0,5,10,20,40,80", show_default=True, help="Numbers of articles.")
@click.option("--seeds", default="13", show_default=True, help="Each size is trained once a seed.")
@click.option("--out", default="runs/curve", show_default=True, type=click.Path(file_okay=False))
def main(
    config: str, test: str, overrides: tuple[str, ...], corpus: str | None, sizes: str, seeds: str, out: str
) -> None:
    """Fine-tune as CONFIG says on more and more articles of its first training corpus, and score on TEST.

    \b
    python -m train.curve configs/finetune-yours.yaml held-out.jsonl --sizes 0,5,10,20
    """
    settings = configuration.read(config, overrides)
    numbers, starts = ([int(item) for item in text.split(",")] for text in (sizes, seeds))
    result = curve(settings, test, corpus, numbers, starts, Path(out))
    for point in result["points"]:
        echo(f"{point['articles']:6d} articles  F1 {point['f1']:.3f}  ({point['least']:.3f}–{point['most']:.3f})")


if __name__ == "__main__":
    main()
