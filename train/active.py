"""`python -m train.active CONFIG POOL HELD_OUT`: does annotating uncertain articles first pay? A simulation on annotated ones."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import click

from kayan.annotate import ORDERS, select
from kayan.checkpoint import POLICY_FILE, resolve
from kayan.corpus import Corpus, light, load, read_description
from kayan.document import Document
from kayan.formats import FormatError, read_text, replacing, write_json
from kayan.tagger import Tagger
from kayan.terminal import echo
from kayan.words import words
from train import Programs
from train import config as configuration
from train.config import Config
from train.curve import score, with_articles

log = logging.getLogger("kayan.train")


def active(
    settings: Config,
    pool: str,
    held_out: str,
    steps: Sequence[int],
    seeds: Sequence[int],
    orders: Sequence[str],
    out: Path,
    *,
    corpus: str | None = None,
    diversity: float = 0.5,
) -> dict[str, Any]:
    """For each order and seed: choose articles of `pool` as `kayan annotate suggest` does, fine-tune the backbone on all that
    are chosen, score on `held_out`, and choose the next with that checkpoint, step by step.

    settings: `pool` stands in for its first training corpus, whose description applies; validation is as it says.
    steps: numbers of articles, growing. corpus: YAML file that says what `held_out` annotates.
    The first articles by uncertainty are those of the backbone, where that is a tagger; else they are drawn by the seed.
    `out` receives active.json, written after each run; what is there is not done again. Raises `ValueError` for steps that
    do not grow or that the pool has no articles for, an unknown order, and where `out` holds another simulation.
    """
    entry = settings.data.train[0]
    articles = load(pool, entry.description())
    distinct = len({light(document.text) for document in articles.documents if words(document.text)})
    if not steps or list(steps) != sorted(set(steps)) or not 0 < steps[0] <= steps[-1] <= distinct:
        raise ValueError(
            f"steps must grow from 1 to at most {distinct}, the distinct articles of {pool}, not {list(steps)}"
        )
    if unknown := set(orders) - set(ORDERS):
        raise ValueError(f"orders must be of {', '.join(ORDERS)}, not {', '.join(sorted(unknown))}")
    held = load(held_out, read_description(corpus) if corpus else None)
    about = {
        "pool": articles.sha256,
        "held_out": held.sha256,
        "diversity": diversity,
        "settings": settings.model_dump(mode="json"),
    }
    _claim(out, about)
    backbone = settings.model.backbone
    trained = (resolve(backbone) / POLICY_FILE).is_file()
    runs: list[dict[str, Any]] = []
    if trained:
        figures = score(backbone, held_out, corpus, out / "0" / "report")
        runs.append({"order": None, "seed": None, "articles": 0, "words": 0, "mentions": 0, **_f1(figures)})
    for order in orders:
        for seed in seeds:
            chosen: list[int] = []
            checkpoint = backbone if trained else None
            for k, step in enumerate(steps):
                # Another way to the same number of articles is another folder.
                folder = out / f"{order}-{seed}" / "-".join(map(str, steps[: k + 1]))
                chosen = _chosen(folder, articles, chosen, step, checkpoint, order, seed, diversity)
                documents = [articles.documents[i] for i in chosen]
                single = with_articles(settings, documents, articles.name, seed, folder)
                checkpoint = f"{single.output}/best"
                if not (folder / "report" / "metrics.json").is_file():
                    from train.finetune import finetune

                    finetune(single)
                figures = score(checkpoint, held_out, corpus, folder / "report")
                sizes = {
                    "articles": step,
                    "words": sum(len(words(document.text)) for document in documents),
                    "mentions": sum(len(document.spans) for document in documents),
                }
                runs.append({"order": order, "seed": seed, **sizes, **_f1(figures)})
                log.info("%s, seed %d, %d articles: F1 %.3f", order, seed, step, runs[-1]["f1"])
                result = {"pool": pool, "held_out": held_out, "diversity": diversity, "first": trained}
                result |= {"runs": runs, "points": points(runs)}
                write_json(out / "active.json", result, indent=1)
    return result


def points(runs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The runs of each order and number of articles together: F1 as mean, least and most of the seeds, mean numbers of words
    and mentions that were annotated for them, F1 of each type."""
    groups: dict[tuple[str | None, int], list[Mapping[str, Any]]] = {}
    for run in runs:
        groups.setdefault((run["order"], run["articles"]), []).append(run)
    found = []
    for (order, articles), group in groups.items():
        f1 = [run["f1"] for run in group]
        row: dict[str, Any] = {"order": order, "articles": articles, "seeds": len(group)}
        row |= {name: fmean(run[name] for run in group) for name in ("words", "mentions")}
        types = {name: fmean(run["types"][name] for run in group) for name in group[0]["types"]}
        found.append({**row, "f1": fmean(f1), "least": min(f1), "most": max(f1), "types": types})
    return found


def plot(result: Mapping[str, Any], path: str | Path) -> None:
    """The curves as SVG: F1 against annotated articles, and against annotated words, since long articles cost more.

    Raises ImportError naming the extra where matplotlib is missing.
    """
    try:
        import matplotlib
        from matplotlib.backends.backend_svg import FigureCanvasSVG
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError("the plot needs matplotlib: pip install 'kayan[eval]'") from None
    style = {"svg.hashsalt": "kayan", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False}
    with matplotlib.rc_context(style):
        figure = Figure(figsize=(8, 3), layout="constrained")
        sides = figure.subplots(1, 2, sharey=True)
        start = [point for point in result["points"] if point["order"] is None]
        orders = dict.fromkeys(point["order"] for point in result["points"] if point["order"])
        for axes, unit in zip(sides, ("articles", "words"), strict=True):
            for order, line in zip(orders, ("-", "--", ":"), strict=False):
                rows = start + [point for point in result["points"] if point["order"] == order]
                at = [point[unit] for point in rows]
                axes.fill_between(at, [p["least"] for p in rows], [p["most"] for p in rows], alpha=0.2)
                axes.plot(at, [p["f1"] for p in rows], line, marker="o", markersize=3, label=order)
            axes.set_xlabel(f"annotated {unit}")
            axes.grid(axis="y", alpha=0.3)
        sides[0].set_ylabel("F1, exact")
        sides[0].legend(frameon=False)
        with replacing(path) as file:
            FigureCanvasSVG(figure).print_svg(file, metadata={"Date": None, "Creator": None})


def _chosen(
    folder: Path,
    pool: Corpus,
    before: Sequence[int],
    step: int,
    checkpoint: str | None,
    order: str,
    seed: int,
    diversity: float,
) -> list[int]:
    """Places of the first `step` articles in the pool, those `before` first; kept in `folder`."""
    kept = folder / "chosen.json"
    if kept.is_file():
        return list(json.loads(read_text(kept)))
    # The text alone, so that no gold can help to choose.
    bare = [Document(document.text, id=str(i)) for i, document in enumerate(pool.documents)]
    tagger = Tagger.load(checkpoint) if checkpoint and order == "uncertainty" else None
    if order == "uncertainty" and tagger is None:
        order = "random"
    found = select(
        bare,
        step - len(before),
        tagger,
        order=order,
        seed=seed,
        diversity=diversity,
        annotated=[bare[i] for i in before],
    )
    chosen = [*before, *(int(document.id) for document in found.documents)]
    write_json(kept, chosen, indent=1)
    return chosen


def _claim(out: Path, about: Mapping[str, Any]) -> None:
    """Raise `ValueError` where the folder holds runs on other articles or with other settings."""
    path = out / "simulation.json"
    if path.is_file():
        there = json.loads(read_text(path))
        if changed := [name for name in about if there.get(name) != about[name]]:
            raise FormatError(path, None, f"is of another simulation ({', '.join(changed)}); name another --out")
    write_json(path, about, indent=1)


def _f1(figures: Mapping[str, Any]) -> dict[str, Any]:
    types = {name: row["f1"] for name, row in figures["per_type"].items()}
    return {"f1": figures["micro"]["f1"], "types": types}


@click.command(cls=Programs, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("config", type=click.Path(dir_okay=False))
@click.argument("pool", type=click.Path())
@click.argument("held_out", type=click.Path())
@click.argument("overrides", nargs=-1)
@click.option("--corpus", type=click.Path(dir_okay=False), help="YAML file that says what HELD_OUT annotates.")
@click.option("--steps", default="10,20,40,80", show_default=True, help="Numbers of articles.")
@click.option("--seeds", default="13,17,29", show_default=True, help="Each order is gone through once a seed.")
@click.option("--orders", default="uncertainty,random", show_default=True, help="Of uncertainty, random, given.")
@click.option("--diversity", default=0.5, show_default=True, help="As in kayan annotate suggest.")
@click.option("--out", default="runs/active", show_default=True, type=click.Path(file_okay=False))
def main(
    config: str,
    pool: str,
    held_out: str,
    overrides: tuple[str, ...],
    corpus: str | None,
    steps: str,
    seeds: str,
    orders: str,
    diversity: float,
    out: str,
) -> None:
    """Simulate the annotation of POOL, annotated articles, in several orders, fine-tuning as CONFIG says, and score on
    HELD_OUT.

    \b
    python -m train.active configs/finetune-yours.yaml pool.jsonl held-out.jsonl --steps 10,20,40
    """
    settings = configuration.read(config, overrides)
    numbers, starts = ([int(item) for item in text.split(",")] for text in (steps, seeds))
    result = active(
        settings, pool, held_out, numbers, starts, orders.split(","), Path(out), corpus=corpus, diversity=diversity
    )
    plot(result, Path(out) / "active.svg")
    for point in result["points"]:
        echo(
            f"{point['order'] or 'backbone':<12}{point['articles']:6d} articles {point['words']:8.0f} words  "
            f"F1 {point['f1']:.3f}  ({point['least']:.3f}–{point['most']:.3f})"
        )


if __name__ == "__main__":
    main()
