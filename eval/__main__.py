"""`python -m eval CHECKPOINT DATA…` scores a checkpoint on annotated articles, `python -m eval compare A B …` several,
`python -m eval entities DATA` the grouping of mentions, `python -m eval speed DATA` measures what tagging and training cost."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from typing import TYPE_CHECKING

import click

from kayan.terminal import Command, echo, to_json

if TYPE_CHECKING:
    from kayan.corpus import Description


@click.command(cls=Command, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("checkpoint")
@click.argument("data", nargs=-1, required=True, type=click.Path(dir_okay=False))
@click.option(
    "--out",
    type=click.Path(file_okay=False),
    help="Folder for report.html, report.md, metrics.json and the predictions.",
)
@click.option(
    "--corpus", type=click.Path(dir_okay=False), help="YAML file that says what DATA annotates (configs/corpora)."
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, mps.")
@click.option("--threshold", type=float, help="Leave out spans that score less; by default what a checkpoint says.")
@click.option("--language", default="ar", show_default=True, type=click.Choice(["ar", "en"]), help="Of the page.")
@click.option(
    "--train-data", multiple=True, type=click.Path(dir_okay=False), help="Training articles: which mentions were seen."
)
@click.option(
    "--robustness", is_flag=True, help="Also with other spelling, digits, marks, no punctuation, headlines alone."
)
def main(
    checkpoint: str,
    data: tuple[str, ...],
    out: str | None,
    corpus: str | None,
    device: str,
    threshold: float | None,
    language: str,
    train_data: tuple[str, ...],
    robustness: bool,
) -> None:
    """Score CHECKPOINT (a folder, a hub id, or "starter") on the whole articles of DATA (JSONL or CoNLL). In its place may
    stand a file of any system's predictions, JSONL or CoNLL, for the articles of DATA.

    \b
    python -m eval runs/starter/best data/news/test.jsonl --out runs/starter/report
    python -m eval starter test.txt --corpus configs/corpora/anercorp.yaml
    python -m eval theirs.jsonl data/news/test.jsonl --train-data data/news/train.jsonl

    `python -m eval compare --help`: several of them side by side.
    `python -m eval entities --help`: how well mentions are grouped.
    """
    from eval.report import run, terminal
    from kayan.corpus import read_description

    description = read_description(corpus) if corpus else None
    report = run(checkpoint, data, out, description, device, threshold, robustness, train_data, language)
    echo(terminal(report))
    if out:
        echo(f"\nreport: {out}/report.html, {out}/report.md   figures: {out}/metrics.json")


@click.command(cls=Command, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("systems", nargs=-1, required=True)
@click.option(
    "--data", multiple=True, required=True, type=click.Path(dir_okay=False), help="Annotated articles; may be repeated."
)
@click.option(
    "--corpus",
    multiple=True,
    type=click.Path(dir_okay=False),
    help="YAML file that says what --data annotates: one for all, or one each in the same order.",
)
@click.option(
    "--out", type=click.Path(file_okay=False), help="Folder for compare.html, .md, .json and the predictions."
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, mps.")
@click.option("--threshold", type=float, help="Leave out spans that score less; by default what a checkpoint says.")
@click.option("--language", default="ar", show_default=True, type=click.Choice(["ar", "en"]), help="Of the page.")
@click.option("--samples", default=10_000, show_default=True, help="Resamples and randomisations.")
def compare(
    systems: tuple[str, ...],
    data: tuple[str, ...],
    corpus: tuple[str, ...],
    out: str | None,
    device: str,
    threshold: float | None,
    language: str,
    samples: int,
) -> None:
    """Compare SYSTEMS (checkpoints or files of predictions) on the same articles; each is held against the first.

    \b
    python -m eval compare starter runs/mine/best --data data/news/test.jsonl --out runs/compared
    """
    from eval.compare import run, terminal
    from kayan.corpus import read_description

    if len(corpus) not in (0, 1, len(data)):
        raise ValueError(f"--corpus is given {len(corpus)} times: once, or once for each of the {len(data)} --data")
    described: list[Description | None] = [read_description(path) for path in corpus] or [None]
    described *= len(data) // len(described)
    report = run(systems, data, described, out, device, threshold, language, samples)
    echo(terminal(report))
    if out:
        echo(f"\npage: {out}/compare.html, {out}/compare.md   figures: {out}/compare.json")


@click.command(cls=Command, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("data", type=click.Path(dir_okay=False))
@click.option("--errors", is_flag=True, help="List every group that is split or joined with another.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def entities(data: str, errors: bool, as_json: bool) -> None:
    """Score the grouping of the gold mentions of DATA, JSONL whose "meta" has "groups": B-cubed and pairs of mentions.

    
    python -m eval entities data/entities.jsonl --errors
    """
    from eval.entities import run, terminal

    report = run(data)
    echo(to_json(report, indent=1) if as_json else terminal(report, errors))


class _Measuring(Command):
    also = (RuntimeError, subprocess.CalledProcessError)


@click.command(cls=_Measuring, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("data", type=click.Path())
@click.option("--model", default=None, help="Checkpoint folder or hub id; the embedded starter if not given.")
@click.option("--corpus", type=click.Path(dir_okay=False), help="YAML file that says how to read DATA.")
@click.option(
    "--rounds", default=3, show_default=True, type=click.IntRange(1), help="Every system is measured so often."
)
@click.option("--growth", is_flag=True, help="Also 1 to 1,000 articles, and one of 100 to 100,000 words.")
@click.option("--training", "config", type=click.Path(dir_okay=False), help="Also an epoch of this configuration.")
@click.option(
    "--quality",
    default=0,
    metavar="SEEDS",
    type=click.IntRange(0),
    help="Also F1 on DATA of --training and of Trainer's defaults after as many epochs, so many seeds each (long).",
)
@click.option("--articles", type=click.IntRange(1), help="Tag so many of the first articles; all if not given.")
@click.option(
    "--full",
    metavar="TOKENIZER",
    type=click.Path(file_okay=False),
    help="Instead of --model: AraBERT's size, random weights, the vocabulary of this tokenizer's folder.",
)
@click.option("--out", type=click.Path(file_okay=False), help="Folder for speed.json and speed.md.")
def speed(
    data: str,
    model: str | None,
    corpus: str | None,
    rounds: int,
    growth: bool,
    config: str | None,
    quality: int,
    articles: int | None,
    full: str | None,
    out: str | None,
) -> None:
    """Measure tagging DATA on every runtime against transformers' pipeline, and training against Trainer's defaults.

    \b
    python -m eval speed data/news/test.jsonl --growth --training configs/starter.yaml --out runs/speed
    python -m eval speed data/news/test.jsonl --articles 8 --rounds 2 --full TOKENIZER
    """
    from eval.speed import markdown, run, save
    from kayan.corpus import read_description

    description = read_description(corpus) if corpus else None
    result = run(model, data, description, rounds, growth, config, partial(echo, err=True), articles, full, quality)
    echo(markdown(result))
    if out:
        save(result, out)


if __name__ == "__main__":
    named = {"compare": compare, "entities": entities, "speed": speed}
    if command := named.get("".join(sys.argv[1:2])):
        command(args=sys.argv[2:], prog_name=f"python -m eval {sys.argv[1]}")
    main(prog_name="python -m eval")
