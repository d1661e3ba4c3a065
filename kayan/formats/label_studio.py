"""Label Studio: tasks as JSON and JSON_MIN exports hold them, and as an import takes them, annotated or pre-annotated.

Its page counts code points, and counted UTF-16 units in older versions; regions quote their text, which decides
(`offsets.locate`). The id and the metadata of an article lie in the task's data, as `document_id` and `meta`.
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

from kayan.document import Document, DocumentError, Span
from kayan.formats import FormatError, read_text, replacing
from kayan.formats.offsets import SURROGATE, OffsetError, locate

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
    predictions: the predictions instead, the latest of each task or that of `model_version`; regions keep their scores
        and `meta` gets the `model_version`.
    from_name: the control tag whose labels are read; all where None.
    key: the field of the task's data that holds the text.
    counting: "code points" or "utf-16", where quotations do not decide it.

    Drafts are passed over. Tasks without an annotation to read, and results that are no labels of a text (relations,
    choices), are counted in a warning. Raises `FormatError` with file, task, article and the text in question.
    """
    path = Path(path)
    kind = "prediction" if predictions else "annotation"
    documents: dict[str, Document] = {}
    unread: Counter[str] = Counter()
    bare, annotators = 0, set()
    for number, task in enumerate(_tasks(path, from_name), 1):
        where = f"task {task.get('id', number)}"
        versions = task.get(f"{kind}s", task.get("completions") if kind == "annotation" else None) or []
        if not isinstance(versions, list) or not all(isinstance(version, dict) for version in versions):
            raise FormatError(path, None, f'{where}: "{kind}s" must be a list of objects, as in a full JSON export')
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
        times = [(_time(version, path, where), i) for i, version in enumerate(usable)]
        chosen = usable[max(times)[1]]
        document = _document(task["data"], chosen, path, where, from_name, key, counting, unread)
        if predictions and chosen.get("model_version"):
            document.meta["model_version"] = chosen["model_version"]  # type: ignore[index]
        if document.id in documents:
            raise FormatError(path, None, f"{where}: a second article {document.id!r}")
        documents[document.id] = document
    if not documents:
        asked = f" by {annotator!r}; there are {', '.join(sorted(annotators)) or 'none'}" if annotator else ""
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
        their mean as the task's; otherwise as annotations.
    from_name, to_name, key: the names of the labels, of the text and of its field in the labelling interface; those of
        `config` by default.
    """
    if model_version is not None and not predictions:
        raise ValueError("model_version is for predictions=True")
    with replacing(path) as file:
        for number, document in enumerate(documents):
            result = [_region(i, span, from_name, to_name, predictions) for i, span in enumerate(document.spans)]
            version: dict[str, Any] = {"result": result}
            if predictions:
                scores = [span.score for span in document.spans if span.score is not None]
                version["score"] = sum(scores) / len(scores) if scores else None
                version["model_version"] = model_version or "kayan"
            data = {key: document.text, "document_id": document.id, "meta": dict(document.meta)}
            task = {"data": data, "predictions" if predictions else "annotations": [version]}
            file.write(("[\n" if number == 0 else ",\n") + json.dumps(task, ensure_ascii=False))
        file.write("[]\n" if file.tell() == 0 else "\n]\n")


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


def _region(index: int, span: Span, from_name: str, to_name: str, predicted: bool) -> dict[str, Any]:
    region: dict[str, Any] = {
        "id": f"span-{index}",
        "from_name": from_name,
        "to_name": to_name,
        "type": "labels",
        "origin": "prediction" if predicted else "manual",
        "value": {"start": span.start, "end": span.end, "text": span.text, "labels": [span.label]},
    }
    return region if span.score is None else {**region, "score": span.score}


def _tasks(path: Path, from_name: str | None) -> Iterator[dict[str, Any]]:
    """The tasks of the file in the shape of a full export."""
    try:
        tasks = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise FormatError(path, error.lineno, f"broken JSON at column {error.colno}: {error.msg}") from None
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
        regions = {name: value for name, value in record.items() if _is_regions(value) and from_name in (None, name)}
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


def _names(version: Mapping[str, Any]) -> set[str]:
    """The number and the address of who made an annotation, as far as it says."""
    by = version.get("completed_by")
    return {
        str(name) for name in ((by.get("id"), by.get("email")) if isinstance(by, dict) else (by,)) if name is not None
    }


def _time(version: Mapping[str, Any], path: Path, where: str) -> datetime:
    written = version.get("updated_at") or version.get("created_at")
    if written is None:
        return datetime.min.replace(tzinfo=UTC)
    try:
        time = datetime.fromisoformat(written)
    except (TypeError, ValueError):
        raise FormatError(path, None, f"{where}: {written!r} is no time in ISO 8601") from None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _document(
    data: Mapping[str, Any],
    version: Mapping[str, Any],
    path: Path,
    where: str,
    from_name: str | None,
    key: str,
    counting: str | None,
    unread: Counter[str],
) -> Document:
    rest = dict(data)
    text = rest.pop(key, None)
    # The number of the task comes last: Label Studio gives a new one at every import.
    identity = str(rest.pop("document_id", rest.pop("id", where.removeprefix("task "))))
    where = f"{where}, article {identity!r}"
    if not isinstance(text, str):
        raise FormatError(path, None, f"{where}: {key!r} must be the text; the data has {', '.join(map(repr, data))}")
    if half := SURROGATE.search(text):
        raise FormatError(path, None, f"{where}: {key!r} has half a character, {half[0]!r} at {half.start()}")
    meta = rest.pop("meta") if isinstance(rest.get("meta"), dict) else {}
    if both := rest.keys() & meta.keys():
        raise FormatError(path, None, f"{where}: {', '.join(sorted(both))} is in the data and in its meta")
    regions = []
    for item in version.get("result") or []:
        if not isinstance(item, dict) or not isinstance(value := item.get("value", {}), dict):
            raise FormatError(path, None, f"{where}: a result must be an object with a value, not {item!r}")
        if item.get("type") != "labels":
            if str(item.get("type")).endswith("labels"):
                raise FormatError(path, None, f"{where}: {item['type']} cannot be read, only <Labels> on a <Text>")
            unread[str(item.get("type"))] += 1
        elif from_name not in (None, item.get("from_name")):
            unread[f"labels of {item.get('from_name')}"] += 1
        elif not isinstance(labels := value.get("labels"), list) or not labels:
            raise FormatError(path, None, f"{where}: region {value.get('text')!r} has no labels: {value!r}")
        else:
            regions.append((value, labels, item.get("score")))
    try:
        edges = locate(text, [(v.get("start"), v.get("end"), v.get("text")) for v, _, _ in regions], counting)
        spans = [
            Span(start, end, label, score)
            for (start, end), (_, labels, score) in zip(edges, regions, strict=True)
            for label in labels
        ]
        return Document(text, spans, identity, {**rest, **meta})
    except (OffsetError, DocumentError) as error:
        raise FormatError(path, None, f"{where}: {error}") from None
