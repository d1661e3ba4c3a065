"""`python -m tests.load --minutes 30 --out FOLDER`: put `kayan serve` under load; load.json and load.md; exit status 1 where
a check fails."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from kayan.formats import jsonl, replacing, write_json
from tests.load.scenario import ROOT, Plan, run

DATA = ("news/train.jsonl", "news/validation.jsonl", "news/test.jsonl", "entities.jsonl")


@click.command()
@click.option("--minutes", default=30.0, show_default=True, help="How long the whole takes, about.")
@click.option("--model", help="Checkpoint folder; by default the embedded one.")
@click.option("--rounds", default=3, show_default=True, help="Of the service against the tagger in process.")
@click.option("--rated", default=0.6, show_default=True, help="The rated load, as a share of the capacity.")
@click.option("--clients", default=24, show_default=True, help="That send at once when the capacity is measured.")
@click.option("--seed", default=0, show_default=True)
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path))
def main(minutes: float, out: Path, **settings: Any) -> None:
    """Put `kayan serve` under load, and write load.json and load.md into the folder."""
    texts = [document.text for name in DATA for document in jsonl.read(ROOT / "data" / name)]
    plan = Plan.lasting(minutes, **settings)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the service does not outlive this
    result = asyncio.run(run(plan, texts, out, lambda line: click.echo(line, err=True)))
    write_json(out / "load.json", result, indent=1)
    with replacing(out / "load.md") as file:
        file.write("\n".join(markdown(result)) + "\n")
    click.echo("\n".join(markdown(result)))
    sys.exit(not all(result["checks"].values()))


def markdown(result: dict[str, Any]) -> Iterator[str]:
    """The figures as Markdown."""
    plan, phases = result["plan"], result["phases"]
    yield f"Rated load: {result['requests_per_second']:.2f} requests a second, {plan['rated']:.0%} of the capacity."
    yield ""
    yield "| round | words a second | in process | ratio |"
    yield "|---|---|---|---|"
    for turn, one in enumerate(result["rounds"], 1):
        yield f"| {turn} | {one['service']:.0f} | {one['reference']:.0f} | {one['ratio']:.2f} |"
    yield ""
    yield "| phase | seconds | requests | words a second | statuses | cores: service | client |"
    yield "|---|---|---|---|---|---|---|"
    for name, own in phases.items():
        for phase in own:
            statuses = ", ".join(f"{status}: {count}" for status, count in phase["statuses"].items())
            yield (
                f"| {name} | {phase['seconds']:.0f} | {phase['requests']} | {phase['words_per_second']:.0f} | {statuses} | "
                f"{phase['server_cores']:.2f} | {phase['client_cores']:.2f} |"
            )
    yield ""
    yield "| kind, at the rated load | requests | statuses | p50, ms | p95 | p99 |"
    yield "|---|---|---|---|---|---|"
    for kind, row in phases["rated"][0]["kinds"].items():
        statuses = ", ".join(f"{status}: {count}" for status, count in row["statuses"].items())
        times = " | ".join(f"{row[q]:.0f}" if q in row else "" for q in ("p50_ms", "p95_ms", "p99_ms"))
        yield f"| {kind} | {row['requests']} | {statuses} | {times} |"
    yield ""
    if memory := result["memory"]:
        yield (
            f"Memory of the service at the rated load: {memory['megabytes']:.0f} MB, {memory['most']:.0f} at most, "
            f"{memory['slope_megabytes_a_minute']:+.2f} MB a minute ({memory['growth']:+.1%})."
        )
    drained = result["drain"]
    yield (
        f"SIGTERM with {drained['requests']} requests under way, {drained['answered_before']} of them answered before: "
        f"{drained['statuses']}, exit status {drained['exit']} after {drained['seconds']:.1f} s."
    )
    yield ""
    yield "Status 0 is a client that left, -1 a broken connection."
    yield ""
    yield from (f"- {'yes' if holds else '**NO**'}: {name}" for name, holds in result["checks"].items())


if __name__ == "__main__":
    main()
