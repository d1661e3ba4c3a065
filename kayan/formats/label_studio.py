"""Label Studio: tasks as JSON and JSON_MIN exports hold them, and as an import takes them, annotated or pre-annotated.

Its page counts code points (checked with 1.23), and files from elsewhere may count UTF-16 units: regions quote their
text, which decides. The id and the metadata of an article lie in the task's data, as `document_id` and `meta`.
"""

from __future__ import annotations

import json
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

from kayan.document import Document, Span
from kayan.formats import SURROGATE, FormatError, halved, merged_meta, parse_json, read_text, reason, replacing
from kayan.formats.offsets import locate

# Readable behind black text; a type beyond the list starts over.
_COLOURS = ("#e6550d", "#3182bd", "#31a354", "#756bb1", "#de9ed6", "#8c6d31", "#17becf", "#e7969c")
# What a JSON_MIN record says of the annotation, beside the data of the task.
_RECORD_KEYS = {"id", "annotator", "annotation_id", "created_at", "updated_at", "lead_time", "agreement"}


def read(
    path: str | Path,
    *,
    annotator: int | str | None = None,
    predictions: bool = False,
    model_version: str | None = None,
    from_name: str | None = None,
    key: str = "text",
    counting: str | None = None,
) -> list[Document]:
    """The annotated articles of an export, in order; of several annotations of a task the latest that was not cancelled.

    annotator: only annotations of this one, by number or e-mail address (JSON_MIN may hold the number only).
    predictions: the predictions instead, the latest of each task or that of `model_version`, with their scores;
        `meta` gets the `model_version`.
    from_name: the control tag whose labels are read; all where None.
    key: the field of the task's data that holds the text.
    counting: "code points" or "utf-16", where quotations do not decide it.

    Drafts are passed over. Tasks without an annotation to read, and results that are no labels of a text (relations,
    choices), are counted in a warning. Raises `FormatError` with file, task, article and the text in question.
    """
    if annotator is not None and predictions:
        raise ValueError("annotator is for annotations, predictions have a model_version")
    if model_version is not None and not predictions:
        raise ValueError("model_version is for predictions=True")
    path = Path(path)
    kind = "predictions" if predictions else "annotations"
    documents: dict[str, Document] = {}
    unread: Counter[str] = Counter()
    annotators: set[str] = set()
    bare = 0
    written = read_text(path)
    for number, task in enumerate(_tasks(path, written), 1):
        identity = _identity(task, number)
        where = f"task {task.get('id', number)}, article {identity!r}"
        try:
            versions = _versions(task, kind)
            annotators |= {name for version in versions for name in _names(version)}
            usable = [
                version
                for version in versions
                if not (version.get("was_cancelled") or version.get("skipped"))
                and (annotator is None or str(annotator) in _names(version))
                and (model_version is None or version.get("model_version") == model_version)
            ]
            if not usable:
                bare += 1
                continue
            chosen = max(enumerate(usable), key=lambda pair: (_time(pair[1]), pair[0]))[1]
            document = _document(task["data"], identity, chosen, predictions, from_name, key, counting, unread)
            if wrong := halved([task["data"], chosen], written):
                raise ValueError(wrong)
        except ValueError as error:
            raise FormatError(path, None, f"{where}: {reason(error)}") from None
        if identity in documents:
            raise FormatError(path, None, f"{where}: there is another article of this id")
        documents[identity] = document
    if not documents:
        asked = f" by {annotator!r}; there are some by {', '.join(sorted(annotators)) or 'nobody'}" if annotator else ""
        asked += f" of model version {model_version!r}" if model_version else ""
        raise FormatError(path, None, f"holds no {kind} to read{asked}")
    if bare:
        warnings.warn(f"{path}: {bare} tasks have no {kind} to read and are left out", stacklevel=2)
    if unread:
        listed = ", ".join(f"{count} {name}" for name, count in sorted(unread.items()))
        warnings.warn(f"{path}: results that are no labels of the text are left out: {listed}", stacklevel=2)
    return list(documents.values())


def write(
    path: str | Path,
    documents: Iterable[Document],
    *,
    predictions: bool = False,
    model_version: str | None = None,
    from_name: str = "label",
    to_name: str = "text",
    key: str = "text",
) -> None:
    """Write the articles as tasks to import; the file appears only when it is complete.

    predictions: their spans as predictions of `model_version`, which annotators start from, with the score of each and
        their mean as the task's; otherwise as annotations, which have no scores: these are counted in a warning.
    from_name, to_name, key: the names of the labels, of the text and of its field in the labelling interface; those of
        `config` by default.
    """
    if model_version is not None and not predictions:
        raise ValueError("model_version is for predictions=True")
    tasks, lost = [], 0
    for document in documents:
        version: dict[str, Any] = {"result": []}
        scores = [span.score for span in document.spans if span.score is not None]
        if predictions:
            version["score"] = sum(scores) / len(scores) if scores else None
            version["model_version"] = model_version or "kayan"
        lost += 0 if predictions else len(scores)
        for i, span in enumerate(document.spans):
            region: dict[str, Any] = {
                "id": f"span-{i}",
                "from_name": from_name,
                "to_name": to_name,
                "type": "labels",
                "origin": "prediction" if predictions else "manual",
                "value": {"start": span.start, "end": span.end, "text": span.text, "labels": [span.label]},
            }
            version["result"].append(
                {**region, "score": span.score} if predictions and span.score is not None else region
            )
        data = {key: document.text, "document_id": document.id, "meta": dict(document.meta)}
        task = {"data": data, "predictions" if predictions else "annotations": [version]}
        tasks.append(json.dumps(task, ensure_ascii=False))
    with replacing(path) as file:
        file.write("[\n" + ",\n".join(tasks) + "\n]\n")
    if lost:
        warnings.warn(f"{path}: annotations have no scores, {lost} are left out", stacklevel=2)


def config(types: Sequence[str], from_name: str = "label", to_name: str = "text", key: str = "text") -> str:
    """The labelling interface for these types, right to left, marking single characters so that «ب» stays outside «بفاس».

    >>> print(config(["LOC"]))
    <View style="direction: rtl; text-align: right">
      <Labels name="label" toName="text">
        <Label value="LOC" background="#e6550d"/>
      </Labels>
      <Text name="text" value="$text" granularity="symbol"/>
    </View>
    """
    labels = "".join(
        f"    <Label value={quoteattr(name)} background={quoteattr(_COLOURS[i % len(_COLOURS)])}/>\n"
        for i, name in enumerate(types)
    )
    return (
        '<View style="direction: rtl; text-align: right">\n'
        f"  <Labels name={quoteattr(from_name)} toName={quoteattr(to_name)}>\n{labels}  </Labels>\n"
        f'  <Text name={quoteattr(to_name)} value={quoteattr("$" + key)} granularity="symbol"/>\n'
        "</View>"
    )


def _tasks(path: Path, written: str) -> Iterator[dict[str, Any]]:
    """The tasks of the file in the shape of a full export."""
    tasks = parse_json(written, path)
    tasks = [tasks] if isinstance(tasks, dict) else tasks
    if not isinstance(tasks, list) or not all(isinstance(task, dict) for task in tasks):
        raise FormatError(path, None, "expected a list of tasks, as Label Studio exports in JSON or JSON_MIN")
    if any("data" in task for task in tasks):
        for number, task in enumerate(tasks, 1):
            if not isinstance(task.get("data"), dict):
                raise FormatError(path, None, f'task {task.get("id", number)}: "data" must be an object')
        yield from tasks
        return
    # JSON_MIN has a record for each annotation of a task.
    whole: dict[Any, dict[str, Any]] = {}
    for number, record in enumerate(tasks, 1):
        regions = {name: value for name, value in record.items() if _is_regions(value)}
        data = {name: value for name, value in record.items() if name not in regions and name not in _RECORD_KEYS}
        identity = record.get("id", f"record {number}")
        task = whole.setdefault(str(identity), {"id": identity, "data": data, "annotations": []})
        if record.get("annotation_id") is not None:
            result = [
                {"type": "labels", "from_name": name, "value": value} for name in regions for value in regions[name]
            ]
            about = {name: record.get(name) for name in ("created_at", "updated_at")}
            task["annotations"].append({"completed_by": record.get("annotator"), "result": result, **about})
    yield from whole.values()


def _is_regions(value: Any) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(v, dict) and {"start", "end"} <= v.keys() for v in value)
    )


def _identity(task: Mapping[str, Any], number: int) -> str:
    # The number of the task comes last: Label Studio gives a new one at every import.
    data = task["data"]
    return str(data.get("document_id", data.get("id", task.get("id", number))))


def _versions(task: Mapping[str, Any], kind: str) -> list[Mapping[str, Any]]:
    versions = task.get(kind) or []
    if not isinstance(versions, list) or not all(isinstance(version, dict) for version in versions):
        raise ValueError(
            f'"{kind}" must be a list of objects; for predictions, which an export has as numbers, '
            'create one with "serialization_options": {"predictions": {"only_id": false}}'
        )
    return versions


def _names(version: Mapping[str, Any]) -> set[str]:
    """The number and the address of who made an annotation, as far as it says."""
    by = version.get("completed_by")
    names = (by.get("id"), by.get("email")) if isinstance(by, dict) else (by,)
    return {str(name) for name in names if name is not None}


def _time(version: Mapping[str, Any]) -> datetime:
    written = version.get("updated_at") or version.get("created_at")
    try:
        time = datetime.fromisoformat(written) if written is not None else datetime.min
    except (TypeError, ValueError):
        raise ValueError(f"{written!r} is no time in ISO 8601") from None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _document(
    data: Mapping[str, Any],
    identity: str,
    version: Mapping[str, Any],
    predicted: bool,
    from_name: str | None,
    key: str,
    counting: str | None,
    unread: Counter[str],
) -> Document:
    text = data.get(key)
    if not isinstance(text, str):
        raise ValueError(f"{key!r} must be the text; the data has {', '.join(map(repr, data)) or 'nothing'}")
    if half := SURROGATE.search(text):
        raise ValueError(f"{key!r} has half a character, {half[0]!r} at {half.start()}")
    rest = {k: v for k, v in data.items() if k != key and not (k in ("document_id", "id") and str(v) == identity)}
    meta = merged_meta(rest, "data")
    if predicted and version.get("model_version"):
        meta["model_version"] = version["model_version"]
    regions = []
    if not isinstance(results := version.get("result") or [], list):
        raise ValueError(f'"result" must be a list, not {results!r}')
    for item in results:
        if not isinstance(item, dict) or not isinstance(value := item.get("value", {}), dict):
            raise ValueError(f"a result must be an object with a value, not {item!r}")
        kind = str(item.get("type"))
        if kind.endswith("labels") and kind != "labels":
            raise ValueError(f"{kind} cannot be read, only <Labels> on a <Text>")
        if kind != "labels":
            unread[kind] += 1
        elif from_name not in (None, item.get("from_name")):
            unread[f"labels of {item.get('from_name')!r}"] += 1
        elif not isinstance(labels := value.get("labels"), list) or not labels:
            raise ValueError(f"the region {value.get('text')!r} at {value.get('start')} has no labels")
        elif not isinstance(score := item.get("score"), int | float | None):
            raise ValueError(f"the score of the region {value.get('text')!r} must be a number, not {score!r}")
        else:
            # A confirmed prediction keeps the score of the model; what a person confirmed is gold and has none.
            regions.append((value, labels, score if predicted else None))
    edges = locate(text, [(v.get("start"), v.get("end"), v.get("text")) for v, _, _ in regions], counting)
    spans = [
        Span(start, end, label, score)
        for (start, end), (_, labels, score) in zip(edges, regions, strict=True)
        for label in labels
    ]
    return Document(text, spans, identity, meta)
