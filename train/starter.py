"""`python -m train.starter STAGE.yaml …`: make the embedded checkpoint from public packages and corpora, stage by stage."""

from __future__ import annotations

import json
import logging
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated, Any, Literal

import click
from pydantic import Field

from kayan.formats import replacing, write_json
from train import Programs
from train import config as configuration
from train.config import Config, CorpusFile, Section

log = logging.getLogger("kayan.train")


class Finetune(Config):
    """`stage: finetune`: a run of `python -m train` for each seed, in `output`/seed; "{seed}" in `model.backbone` is the
    seed."""

    stage: Literal["finetune"]
    seeds: Annotated[tuple[int, ...], Field(min_length=1)] = (13,)

    def run(self, resume: bool) -> dict[str, Any]:
        from train.finetune import finetune

        figures = {}
        for seed in self.seeds:
            settings = self.model_dump(exclude={"stage", "seeds"})
            settings["output"] = f"{self.output}/{seed}"
            settings["training"]["seed"] = seed
            settings["model"]["backbone"] = self.model.backbone.replace("{seed}", str(seed))
            single = Config.model_validate(settings)
            folder = Path(single.output)
            finished = (folder / "best" / "README.md").is_file() and not (folder / "states").is_dir()
            if resume and finished:
                figures[str(seed)] = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))["best"]
            else:
                figures[str(seed)] = finetune(single, resume and (folder / "config.yaml").is_file())
        return figures


class Judged(CorpusFile):
    """A corpus to report on."""

    # What the card calls it.
    title: str
    # The one that ships, with other spelling, digits, marks, … too: see `python -m eval --robustness`.
    robustness: bool = False


class Ship(Section):
    """`stage: ship`: judge the checkpoints of all seeds by `python -m eval`, and put the first where it ships."""

    stage: Literal["ship"]
    output: str
    checkpoints: Annotated[tuple[str, ...], Field(min_length=1)]
    root: str = "."
    # Reports go here, a folder a checkpoint and corpus.
    reports: str
    evaluate: Annotated[tuple[Judged, ...], Field(min_length=1)]
    # Stages whose files the card quotes for texts that were read without annotations.
    adapted: str | None = None
    # Megabytes (10^6 bytes) of the whole folder.
    most: float = 50.0

    def run(self, resume: bool) -> dict[str, Any]:
        from kayan.checkpoint import inspect
        from kayan.export import export
        from train.card import starter_card

        measured = [
            {judged.title: self._judge(checkpoint, i, judged, resume) for i, judged in enumerate(self.evaluate)}
            for checkpoint in self.checkpoints
        ]
        fresh, target = Path(self.output + ".part"), Path(self.output)
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.copytree(self.checkpoints[0], fresh)
        tokenizer = fresh / "tokenizer.json"
        # Indented as tokenizers writes it, every piece takes four lines.
        compact = json.dumps(
            json.loads(tokenizer.read_text(encoding="utf-8")), ensure_ascii=False, separators=(",", ":")
        )
        tokenizer.write_text(compact, encoding="utf-8")
        export(inspect(fresh))
        size = sum(path.stat().st_size for path in fresh.iterdir() if path.name != "README.md") / 1e6
        if size > self.most:
            shutil.rmtree(fresh)
            raise ValueError(f"{self.output} would take {size:.1f} MB, more than the {self.most} it may")
        cost = {"megabytes": round(size, 2), **self._cost(fresh)}
        read = json.loads(Path(self.adapted).read_text(encoding="utf-8"))["figures"] if self.adapted else None
        with replacing(fresh / "README.md") as file:
            file.write(starter_card(fresh, measured, cost, read))
        shutil.rmtree(target, ignore_errors=True)
        fresh.rename(target)
        return {"cost": cost, "data": measured}

    def _judge(self, checkpoint: str, number: int, judged: Judged, resume: bool) -> dict[str, Any]:
        out = Path(self.reports) / f"{Path(checkpoint).parent.name}-{number}"
        if not (resume and (out / "metrics.json").is_file()):
            command = [sys.executable, "-m", "eval", checkpoint, str(judged.under(self.root)), "--out", str(out)]
            command += ["--corpus", judged.corpus] if isinstance(judged.corpus, str) else []
            command += ["--robustness"] if judged.robustness and checkpoint == self.checkpoints[0] else []
            subprocess.run(command, check=True)
        [result] = json.loads((out / "metrics.json").read_text(encoding="utf-8"))["data"]
        return dict(result)

    def _cost(self, folder: Path) -> dict[str, float]:
        """Seconds until a fresh process has the tagger, and those of the checkpoint alone, with the libraries imported;
        the least of three."""
        code = (
            "import sys, time; start = time.perf_counter(); from kayan import Tagger; Tagger.load(sys.argv[1]);"
            "ready = time.perf_counter(); Tagger.load(sys.argv[1]); print(ready - start, time.perf_counter() - ready)"
        )
        command = [sys.executable, "-c", code, str(folder)]
        runs = [subprocess.run(command, check=True, capture_output=True, text=True).stdout.split() for _ in range(3)]
        ready, load = (min(map(float, times)) for times in zip(*runs, strict=True))
        return {"ready_seconds": round(ready, 1), "load_seconds": round(load, 2)}


def kinds() -> dict[str, type[Section]]:
    """The stages by name; those that need more than training does are loaded here."""
    from train.adapt import Adapt
    from train.backbone import Backbone
    from train.silver import Label
    from train.standoff import Join

    return {"backbone": Backbone, "adapt": Adapt, "join": Join, "finetune": Finetune, "label": Label, "ship": Ship}


def read(path: str, root: str | None) -> Any:
    """A stage as its file says, with the folder of the corpora put in. Raises `ConfigError` for an unknown stage."""
    known = kinds()
    name = configuration.raw(path).get("stage")
    if name not in known:
        raise configuration.ConfigError(f"{path}: stage must be one of {', '.join(known)}, not {name!r}")
    key = {"finetune": "data.root", "join": "root", "ship": "root"}.get(name, "text.root")
    return configuration.read_as(known[name], path, [f"{key}={json.dumps(root)}"] if root else [])


@click.command(cls=Programs, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("stages", nargs=-1, required=True, type=click.Path(dir_okay=False))
@click.option("--root", help="The folder of the corpora and texts that the stages name.")
@click.option("--again", is_flag=True, help="Run the stages even where they are done.")
def main(stages: tuple[str, ...], root: str | None, again: bool) -> None:
    """Run the YAML files STAGES in order; a stage that is done is passed over, one that was cut off goes on.

    \b
    python -m train.starter configs/starter/*.yaml --root FOLDER_OF_THE_CORPORA
    """
    # All are read before any runs: a mistake in the last file should not show after hours.
    settings = [(path, read(path, root)) for path in stages]
    for path, stage in settings:
        perform(path, stage, again)


def perform(path: str, stage: Any, again: bool) -> None:
    """Run a stage unless its sheet, OUTPUT.stage.json, says that it was done with the same settings. What a stage ships
    has its sheet beside the reports: the package holds nothing but the checkpoint."""
    sheet = Path(getattr(stage, "reports", stage.output).rstrip("/") + ".stage.json")
    settings = stage.model_dump(mode="json")
    before = json.loads(sheet.read_text(encoding="utf-8")) if sheet.is_file() and not again else {}
    same = before.get("settings") == settings
    if same and "figures" in before:
        log.info("%s: done, %s", path, sheet)
        return
    if before and not same:
        changed = sorted(key for key in settings if before["settings"].get(key) != settings[key])
        raise ValueError(
            f"{path}: {stage.output} was made with other settings ({', '.join(changed)}); --again makes it anew"
        )
    log.info("%s: %s", path, "going on" if same else "begun")
    write_json(sheet, {"settings": settings}, indent=1)
    started = time.monotonic()
    figures = stage.run(same)
    write_json(
        sheet, {"settings": settings, "figures": figures, "seconds": round(time.monotonic() - started, 1)}, indent=1
    )
    log.info("%s: done in %.1f minutes, %s", path, (time.monotonic() - started) / 60, sheet)


if __name__ == "__main__":
    main()
