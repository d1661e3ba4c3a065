"""The model card that every run writes beside its checkpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import kayan
from kayan.corpus import Corpus
from kayan.formats import replacing
from train.config import Config

_TEMPLATE = """\
---
language: ar
library_name: kayan
pipeline_tag: token-classification
tags: [named-entity-recognition, arabic, news]
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
{head}. Score temperature {temperature}.

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
    text = _TEMPLATE.format(
        name=Path(config.output).name,
        types=", ".join(config.types),
        backbone=config.model.backbone if config.model.backbone == "starter" else Path(config.model.backbone).name,
        version=kayan.__version__,
        profile=config.text.profile,
        window=config.text.window,
        stride=config.text.stride,
        head="a second head counts attached particles" if config.model.proclitics else "no proclitic head",
        temperature=best.get("temperature", 1.0),
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
