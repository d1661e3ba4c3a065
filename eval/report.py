"""Judge a checkpoint on annotated articles: figures as data, as a terminal table, and as Markdown."""

from __future__ import annotations

import functools
import platform
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import kayan
from eval.calibration import figures as calibration
from eval.calibration import scored
from eval.cost import load as load_tagger
from eval.cost import peak_megabytes
from eval.errors import NONE, classify, confusion, tally
from eval.page import page
from eval.predictions import is_predictions, read
from eval.slices import slices
from kayan.corpus import Corpus, Description, check_labels, comparable, load
from kayan.document import Document
from kayan.encoding import Unreachable
from kayan.formats import conll, jsonl, replacing, write_json
from kayan.perturb import PERTURBATIONS, perturb
from kayan.schema import Declaration, Schema, TagSets
from kayan.scoring import SeqevalStrict, SpanScorer, bootstrap, bootstrap_per_type, conll_tags
from kayan.tagger import Tagger
from kayan.terminal import isolated
from kayan.words import words

STRATEGIES = ("strict", "boundary", "type", "partial")


def evaluate(
    tagger: Tagger, path: str | Path, description: Description | None = None, training: Sequence[Document] | None = None
) -> tuple[dict[str, Any], list[Document]]:
    """Tag the articles of a corpus file whole and score them; returns the figures of `judge`, with gold that the pipeline
    cannot return and the speed, and the predictions. Raises `FormatError` and `SchemaError` for a corpus that does not fit.
    """
    corpus = load(path, description)
    schema = tagger.policy.schema
    check_labels(corpus, schema)
    started = time.perf_counter()
    tagged = list(tagger.stream(corpus.documents))
    seconds = time.perf_counter() - started
    result = judge(corpus, tagged, schema, training)
    result["unreachable_gold"] = [item.to_dict() for item in unreachable(tagger, corpus, schema)]
    result["speed"] = {
        "words_per_second": round(result["words"] / seconds, 1) if seconds else 0.0,
        "seconds": round(seconds, 3),
        "processor": platform.processor() or platform.machine(),
    }
    return result, tagged


def judge(
    corpus: Corpus, tagged: Sequence[Document], schema: Schema, training: Sequence[Document] | None = None
) -> dict[str, Any]:
    """All figures of predictions, one document for each article of the corpus and on its text.

    Predictions of types that the corpus does not annotate are left out, unless its description names the type as an
    alternative of one that it does (its MISC holds events, say): then they count as that one. Where a corpus keeps
    particles inside its mentions, both sides are widened to whole words first. Mentions of `training`, where given,
    say which were seen.
    """
    gold, predicted = sides(corpus, tagged)
    annotated = corpus.declaration.annotated(schema)
    scorer = SpanScorer(annotated)
    for document, found in zip(gold, predicted, strict=True):
        scorer.add(document, found)
    figures = scorer.to_dict()
    figures["character_span_strict"]["micro"]["f1_interval_95"] = list(bootstrap(scorer))
    for label, interval in bootstrap_per_type(scorer).items():
        figures["character_span_strict"]["per_type"][label]["f1_interval_95"] = list(interval)
    # Article by article: the cases of a large corpus take more room than its mentions.
    errors, confused = tally([]), confusion([], annotated)
    for pair in zip(gold, predicted, strict=True):
        cases = classify(*pair)
        confused += confusion(cases, annotated)
        for kind, counts in tally(cases).items():
            errors[kind].update(counts)
    scores = all(span.score is not None for document in predicted for span in document.spans)
    return {
        "data": corpus.name,
        "name": corpus.name,
        "sha256": corpus.sha256,
        "articles": len(corpus),
        "words": sum(len(document.text.split()) for document in corpus.documents),
        "annotates": list(annotated),
        "particles": "outside mentions"
        if corpus.declaration.proclitics
        else "inside mentions, both sides widened to words",
        "unreachable_gold": [],
        **figures,
        **token_figures(gold, predicted),
        "errors": errors,
        "confusion": {"labels": [*annotated, NONE], "counts": confused.tolist()},
        "slices": slices(gold, predicted, training),
        "calibration": calibration(scored(zip(gold, predicted, strict=True))) if scores else None,
    }


def sides(corpus: Corpus, tagged: Sequence[Document]) -> tuple[list[Document], list[Document]]:
    """Gold and predicted articles as the corpus draws them (`kayan.corpus.comparable`)."""
    gold = [comparable(document, corpus.declaration, document) for document in corpus.documents]
    pairs = zip(tagged, corpus.documents, strict=True)
    return gold, [comparable(found, corpus.declaration, one) for found, one in pairs]


def robustness(tagger: Tagger, path: str | Path, description: Description | None = None) -> dict[str, Any]:
    """Strict F1 on the articles of a corpus as they are, and as `kayan.perturb` changes them, with the points (hundredths)
    lost; a headline alone is compared with the same headline tagged in its article."""
    corpus = load(path, description)
    f1 = functools.partial(strict_f1, corpus.declaration, corpus.declaration.annotated(tagger.policy.schema))
    tagged = list(tagger.stream(corpus.documents))
    result: dict[str, Any] = {"unchanged": f1(corpus.documents, tagged)}
    for name in PERTURBATIONS:
        changed = [perturb(document, name) for document in corpus.documents]
        before = result["unchanged"]
        if name == "headline":
            before = f1(changed, [perturb(document, name) for document in tagged])
        after = f1(changed, list(tagger.stream(changed)))
        result[name] = {"before": before, "f1": after, "points_lost": round(100 * (before - after), 2)}
    return result


def strict_f1(
    declaration: Declaration, labels: Iterable[str], gold: Sequence[Document], found: Sequence[Document]
) -> float:
    """F1, exact to the character, of the mentions of `labels`, both sides as a corpus draws them (`kayan.corpus.comparable`)."""
    scorer = SpanScorer(labels)
    for document, one in zip(gold, found, strict=True):
        scorer.add(*(comparable(part, declaration, document) for part in (document, one)))
    return scorer.micro("strict").f1


def unreachable(tagger: Tagger, corpus: Corpus, schema: Schema) -> list[Unreachable]:
    """Gold mentions that tokenizer, normaliser, words or tags cannot express."""
    sets, found = TagSets(schema), []
    for document in corpus.documents:
        encoded = tagger.encoder.encode(document.text)
        found += tagger.encoder.targets(document, encoded, sets, corpus.declaration)[2]
    return found


def token_figures(gold: Sequence[Document], predicted: Sequence[Document]) -> dict[str, Any]:
    """seqeval at token level, strict IOB2 and its default: on the corpus's own tokens and tags where it is CoNLL, which
    makes the figures those of published tables; on words elsewhere, with particles forgiven."""
    references, hypotheses = [], []
    columns = [conll.columns(document) for document in gold]
    own = all(columns)
    for document, found, kept in zip(gold, predicted, columns, strict=True):
        tokens = kept.tokens if own and kept else words(document.text)
        sentences = kept.sentences if own and kept else [(0, len(tokens))]
        for first, last in sentences:
            if first == last:
                continue
            part: list[Any] = tokens[first:last]
            references.append(kept.tags[first:last] if own and kept else conll_tags(part, document.spans))
            hypotheses.append(
                conll_tags(part, [s for s in found.spans if s.start < part[-1][1] and s.end > part[0][0]])
            )
    result: dict[str, Any] = {}
    for mode in ("strict", "default"):
        figures = SeqevalStrict(mode).compute(predictions=hypotheses, references=references)
        result[f"seqeval_{mode}"] = {**figures, "tokens": "of the corpus" if own else "words, particles forgiven"}
    return result


def run(
    checkpoint: str | None,
    data: Sequence[str],
    out: str | None = None,
    corpus: Description | None = None,
    device: str = "auto",
    threshold: float | None = None,
    perturbed: bool = False,
    training: Sequence[str] = (),
    language: str = "ar",
) -> dict[str, Any]:
    """Evaluate a checkpoint, or one file of predictions, on corpus files; with `out`, write metrics.json, report.md,
    report.html (`eval.page`) and the predictions there. With `perturbed`, the figures hold those of `robustness` too;
    articles of the files `training` say which mentions were seen. Raises `ValueError` where a file of predictions is to
    serve several corpora or `perturbed`."""
    seen = [document for path in training for document in load(path, corpus).documents] if training else None
    results, predictions = [], []
    report: dict[str, Any] = {
        "checkpoint": checkpoint or "starter",
        "kayan": kayan.__version__,
        "threshold": threshold or 0.0,
    }
    if is_predictions(checkpoint):
        if len(data) != 1 or perturbed:
            raise ValueError(f"{checkpoint} holds predictions: they are scored on one file, and have no robustness")
        result, tagged = given(str(checkpoint), data[0], corpus, threshold, seen)
        results.append(result)
        predictions.append(tagged)
    else:
        tagger, report["cost"] = load_tagger(checkpoint, device, threshold)
        report["policy"], report["threshold"] = tagger.policy.to_json(), tagger.threshold
        for path in data:
            result, tagged = evaluate(tagger, path, corpus, seen)
            if perturbed:
                result["robustness"] = robustness(tagger, path, corpus)
            results.append(result)
            predictions.append(tagged)
        report["cost"]["peak_megabytes"] = peak_megabytes()
    for path, result in zip(data, results, strict=True):
        result["data"] = str(path)
    report["data"] = results
    if out:
        folder = Path(out)
        write_json(folder / "metrics.json", report)
        with replacing(folder / "report.md") as file:
            file.write(markdown(report))
        pairs = [sides(load(path, corpus), tagged) for path, tagged in zip(data, predictions, strict=True)]
        with replacing(folder / "report.html") as file:
            file.write(page(report, pairs, language))
        names = [Path(path).stem for path in data]
        for i, (name, documents) in enumerate(zip(names, predictions, strict=True), 1):
            unique = name if names.count(name) == 1 else f"{i}-{name}"
            jsonl.write(folder / f"predictions-{unique}.jsonl", documents)
    return report


def given(
    path: str, data: str, description: Description | None, threshold: float | None, training: Sequence[Document] | None
) -> tuple[dict[str, Any], list[Document]]:
    """The figures of a file of predictions; the types are those that either side uses, the frequent first.
    Raises `FormatError` for predictions that do not fit the articles."""
    corpus = load(data, description)
    tagged = read(path, corpus.documents, description.labels if description else {})
    if threshold:
        kept = [[span for span in one.spans if span.score is None or span.score >= threshold] for one in tagged]
        tagged = [one.with_spans(spans) for one, spans in zip(tagged, kept, strict=True)]
    unread = {label for label, name in corpus.declaration.labels.items() if name is None}
    used = Counter(span.label for one in (*corpus.documents, *tagged) for span in one.spans if span.label not in unread)
    types = [label for label, _ in used.most_common()]
    types += sorted((corpus.declaration.annotates or frozenset()) - set(types))
    return judge(corpus, tagged, Schema(tuple(types)), training), tagged


def rows(result: Mapping[str, Any]) -> list[list[str]]:
    """The table of one corpus: a header, all types together, then each type."""
    table = [["type", "gold", "precision", "recall", "F1", "partial F1", "type F1"]]
    lines = [("all", *(result[f"character_span_{name}"]["micro"] for name in ("strict", "partial", "type")))]
    for label in result["annotates"]:
        lines.append(
            (label, *(result[f"character_span_{name}"]["per_type"][label] for name in ("strict", "partial", "type")))
        )
    for label, exact, partial, overlap in lines:
        if label == "all" or exact["gold"] or exact["predicted"]:
            figures = (exact["precision"], exact["recall"], exact["f1"], partial["f1"], overlap["f1"])
            table.append([label, str(exact["gold"]), *(f"{value:.3f}" for value in figures)])
    return table


def notes(result: Mapping[str, Any], shown: Callable[[str], str] = str) -> list[str]:
    """What stands under the table, a line each, names of articles and mentions as `shown` gives them."""
    low, high = result["character_span_strict"]["micro"]["f1_interval_95"]
    strict, default, particles = result["seqeval_strict"], result["seqeval_default"], result["proclitic"]
    lost = result["unreachable_gold"]
    lines = [
        f"95 % interval of F1, articles resampled: {low:.3f} to {high:.3f} ({result['articles']} articles)",
        f"boundaries alone, any type: F1 {result['character_span_boundary']['micro']['f1']:.3f}",
        f"seqeval on tokens ({strict['tokens']}), micro: strict IOB2 {strict['overall_f1']:.3f} "
        f"({strict['overall_number']} gold), default {default['overall_f1']:.3f} ({default['overall_number']} gold)",
    ]
    if particles["particles_total"]:
        lines.append(
            f"mentions behind a particle: {particles['particles_right']} of {particles['particles_total']} start at the "
            f"right letter ({particles['accuracy']:.3f}); of the {particles['particles_found']} found in the right word, "
            f"{particles['accuracy_found']:.3f}"
        )
    lines.append(f"particles: {result['particles']}")
    gold = result["character_span_strict"]["micro"]["gold"]
    examples = "; ".join(f"{shown(item['mention'])} ({shown(item['article'])}: {item['reason']})" for item in lost[:3])
    lines.append(f"unreachable gold: {len(lost)} of {gold}" + (f": {examples}" if lost else ""))
    for name, figures in result.get("robustness", {}).items():
        if name != "unchanged":
            lines.append(f"{name}: F1 {figures['f1']:.3f}, {figures['points_lost']:+.1f} points lost")
    if "speed" in result:
        lines.append(f"{result['words']} words at {result['speed']['words_per_second']:.0f} words a second")
    return lines


def terminal(report: Mapping[str, Any]) -> str:
    """The report as plain text."""
    parts = [f"checkpoint {isolated(report['checkpoint'])}"]
    for result in report["data"]:
        parts += [f"\n{isolated(result['data'])}: character-strict spans", *aligned(rows(result))]
        parts += [f"  {line}" for line in notes(result, isolated)]
    parts += [cost_line(report["cost"])] if "cost" in report else []
    return "\n".join(parts)


def aligned(table: Sequence[Sequence[str]]) -> list[str]:
    """The rows of a table for a terminal, each cell at the right of its column."""
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    # Padded outside the isolate, which would put the spaces on its own other side.
    padded = ([" " * (n - len(cell)) + isolated(cell) for cell, n in zip(row, widths, strict=True)] for row in table)
    return ["  ".join(row) for row in padded]


def cost_line(cost: Mapping[str, Any]) -> str:
    """What the checkpoint costs, in one line."""
    peak = f", at most {cost['peak_megabytes']:.0f} MB of memory" if cost["peak_megabytes"] else ""
    return (
        f"{cost['parameters'] / 1e6:.1f} million parameters, {cost['disk_megabytes']} MB on disk, loaded in "
        f"{cost['load_seconds']} s{peak}"
    )


def markdown(report: Mapping[str, Any]) -> str:
    """The report as Markdown."""
    parts = [
        f"# Evaluation of {report['checkpoint']}\n",
        f"kayan {report['kayan']}, threshold {report['threshold']}.\n",
        *([cost_line(report["cost"]) + ".\n"] if "cost" in report else []),
    ]
    for result in report["data"]:
        header, *body = rows(result)
        parts.append(
            f"## {result['name']}\n\n`{result['data']}`, SHA-256 `{result['sha256']}`. Character-strict spans.\n"
        )
        parts.append("| " + " | ".join(header) + " |\n|" + "---|" * len(header))
        parts += ["| " + " | ".join(row) + " |" for row in body]
        parts.append("")
        parts += [f"- {line}" for line in notes(result)]
        if result["unreachable_gold"]:
            parts.append("\n### Unreachable gold\n")
            parts += [
                f"- {item['article']}: {item['label']} «{item['mention']}»: {item['reason']}"
                for item in result["unreachable_gold"]
            ]
        parts.append("")
    return "\n".join(parts)
