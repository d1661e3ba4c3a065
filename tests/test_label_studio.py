import json
import warnings
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings

from kayan.document import Document, Span
from kayan.formats import FormatError, label_studio
from tests.test_offsets import annotated, javascript

FIXTURES = Path(__file__).parent / "fixtures"
FULL, MIN, PREDICTED = (FIXTURES / f"label_studio{part}.json" for part in ("", "_min", "_predictions"))


def surfaces(document: Document) -> list[tuple[str, str]]:
    return [(span.text, span.label) for span in document.spans]


def one(tmp_path: Path, **task: Any) -> Path:
    path = tmp_path / "a.json"
    path.write_text(json.dumps([{"id": 7, "data": {"text": "زار 😀 فاس"}, "annotations": [{"result": []}], **task}]))
    return path


def region(start: int, end: int, text: str | None = None, **other: Any) -> dict[str, Any]:
    value = {"start": start, "end": end, "labels": ["LOC"]} | ({} if text is None else {"text": text})
    return {"type": "labels", "from_name": "label", "value": value, **other}


def test_a_full_export() -> None:
    """Made with Label Studio 1.23: regions of an import and of its page, two annotators, a skipped annotation, a draft."""
    with pytest.warns(UserWarning, match="left out") as told:
        first, second = label_studio.read(FULL, annotator=1)
    assert [str(warning.message).split(": ", 1)[1] for warning in told] == [
        "1 tasks have no annotations to read and are left out",
        "results that are no labels of the text are left out: 1 relation",
    ]
    assert (first.id, second.id) == ("bidi-crlf", "emoji")
    # The page quotes a line break as \n and two spaces as one.
    assert surfaces(first) == [
        ("سطر ثان: الدار\r\nالبيضاء 🇲🇦  ثم  وجدة", "PER"),
        ("الدار\r\nالبيضاء", "LOC"),
        ("ثم", "ORG"),
        ("وجدة", "LOC"),
    ]
    assert surfaces(second) == [("مراكش", "LOC"), ("3 نونبر", "DATE")]
    assert second.meta == {"source": "وكالة", "n": 3, "tags": ["أ"]}
    # A confirmed prediction is gold.
    assert all(span.score is None for span in second.spans)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_latest_annotation_or_that_of_one_annotator() -> None:
    assert surfaces(label_studio.read(FULL)[0]) == [("\u200fفاس\u200f", "LOC")]
    assert [document.id for document in label_studio.read(FULL, annotator=2)] == ["bidi-crlf"]
    with pytest.raises(FormatError, match=r"no annotations to read by 'x@example.org'; there are some by 1, 2"):
        label_studio.read(FULL, annotator="x@example.org")


def test_annotators_by_address_and_times_with_fractions(tmp_path: Path) -> None:
    versions = [
        {
            "result": [region(6, 9)],
            "completed_by": {"id": 1, "email": "a@example.org"},
            "updated_at": "2026-01-01T10:00:00.5Z",
        },
        {"result": [], "completed_by": {"id": 2, "email": "b@example.org"}, "updated_at": "2026-01-01T10:00:00Z"},
        {"result": [], "completed_by": 3, "created_at": "2025-12-01T10:00:00"},
        {"result": [], "was_cancelled": True, "updated_at": "2026-02-01T10:00:00Z"},
    ]
    path = one(tmp_path, annotations=versions)
    assert len(label_studio.read(path, counting="code points")[0].spans) == 1
    assert not label_studio.read(path, annotator="b@example.org")[0].spans


def test_a_json_min_export_has_a_record_an_annotation() -> None:
    first, second = label_studio.read(MIN)
    assert surfaces(first) == [("مراكش", "LOC"), ("3 نونبر", "DATE")]
    assert (first.id, second.id, second.spans) == ("emoji", "empty", ())
    assert first.meta == {"source": "وكالة", "n": 3, "tags": ["أ"]}
    with pytest.warns(UserWarning, match="1 tasks have no annotations"):
        [other] = label_studio.read(MIN, annotator=2)
    assert surfaces(other) == [("مراكش", "LOC")]


def test_predictions() -> None:
    [document] = label_studio.read(PREDICTED, predictions=True)
    assert [(span.text, span.score) for span in document.spans] == [("مراكش", 0.75), ("3 نونبر", 0.75)]
    assert document.meta["model_version"] == "kayan-1"
    with pytest.raises(FormatError, match="holds no predictions to read of model version 'x'"):
        label_studio.read(PREDICTED, predictions=True, model_version="x")
    with pytest.raises(FormatError, match=r"task 7, article 'emoji': \"predictions\" must be .* as numbers"):
        label_studio.read(FULL, predictions=True)


def test_written_predictions_carry_scores_and_model_version(tmp_path: Path) -> None:
    document = Document("زار 😀 فاس وطنجة", [Span(6, 9, "LOC", 0.5), Span(11, 15, "LOC", 0.75)], "x", {"n": 1})
    label_studio.write(tmp_path / "a.json", [document], predictions=True, model_version="v1")
    [task] = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    assert task["data"] == {"text": document.text, "document_id": "x", "meta": {"n": 1}}
    [prediction] = task["predictions"]
    assert (prediction["model_version"], prediction["score"]) == ("v1", 0.625)
    assert prediction["result"][0] == {
        "id": "span-0",
        "from_name": "label",
        "to_name": "text",
        "type": "labels",
        "origin": "prediction",
        "value": {"start": 6, "end": 9, "text": "فاس", "labels": ["LOC"]},
        "score": 0.5,
    }
    assert label_studio.read(tmp_path / "a.json", predictions=True) == [document]
    with pytest.warns(UserWarning, match="annotations have no scores, 2 are left out"):
        label_studio.write(tmp_path / "a.json", [document])


@pytest.mark.filterwarnings("error")
@given(annotated())
@settings(max_examples=200, deadline=None)
def test_any_document_survives(tmp_path_factory: pytest.TempPathFactory, document: Document) -> None:
    path = tmp_path_factory.mktemp("ls") / "a.json"
    label_studio.write(path, [document])
    [again] = label_studio.read(path)
    assert (again, again.meta) == (document, document.meta)
    # As JSON_MIN gives the same annotation back.
    [task] = json.loads(path.read_text(encoding="utf-8"))
    regions = [item["value"] for item in task["annotations"][0]["result"]]
    record = {**task["data"], "id": 5, "annotator": 1, "annotation_id": 9} | ({"label": regions} if regions else {})
    path.write_text(json.dumps([record]), encoding="utf-8")
    [again] = label_studio.read(path)
    assert (again, again.meta) == (document, document.meta)


def test_an_export_that_counts_utf_16_is_read_by_what_it_quotes(tmp_path: Path) -> None:
    text = "زار 😀 فاس"
    path = one(tmp_path, annotations=[{"result": [region(*javascript(text, 6, 9), "فاس")]}])
    assert surfaces(label_studio.read(path)[0]) == [("فاس", "LOC")]


@pytest.mark.parametrize(
    ("task", "message"),
    [
        (
            {"annotations": [{"result": [region(6, 9, "طنجة")]}]},
            r"a.json: task 7, article '7': \[6, 9\) quotes 'طنجة', but",
        ),
        ({"annotations": [{"result": [region(6, 9)]}]}, r"article '7': \[6, 9\) may be 'فاس' .* say how it is counted"),
        ({"annotations": [{"result": [region(0, 99)]}]}, "outside the text"),
        ({"annotations": [{"result": [{"type": "labels", "value": {"start": 0, "end": 3}}]}]}, "has no labels"),
        ({"annotations": [{"result": [{"type": "hypertextlabels", "value": {}}]}]}, "hypertextlabels cannot be read"),
        ({"annotations": [{"result": ["x"]}]}, "must be an object with a value, not 'x'"),
        ({"annotations": {}}, "holds no annotations"),
        ({"annotations": ["x"]}, '"annotations" must be a list of objects'),
        ({"annotations": [{"result": [], "updated_at": "gestern"}]}, "'gestern' is no time in ISO 8601"),
        ({"data": {"article": "زار"}}, "'text' must be the text; the data has 'article'"),
        ({"data": {"text": "س \ud83d"}}, "half a character"),
        ({"data": {"text": "زار", "n": 1, "meta": {"n": 2}}}, "n is in the data and in its meta"),
        ({"data": "زار"}, 'task 7: "data" must be an object'),
    ],
)
def test_errors_name_file_task_and_article(tmp_path: Path, task: dict[str, Any], message: str) -> None:
    with pytest.raises(FormatError, match=message):
        label_studio.read(one(tmp_path, **task))


def test_files_that_are_no_export(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    for content, message in (('[\n{"id": 1,}]', r"a.json:2: broken JSON at column"), ("3", "expected a list of tasks")):
        path.write_text(content)
        with pytest.raises(FormatError, match=message):
            label_studio.read(path)
    label_studio.write(path, [Document("فاس", [], "x"), Document("فاس", [], "x")])
    with pytest.raises(FormatError, match="article 'x': there is another article of this id"):
        label_studio.read(path)


def test_several_labels_tags_and_other_names(tmp_path: Path) -> None:
    both = region(0, 3, "زار")
    both["value"]["labels"] = ["PER", "LOC"]
    other = {**region(6, 9, "فاس"), "from_name": "other"}
    path = one(tmp_path, annotations=[{"result": [both, other]}])
    assert len(label_studio.read(path)[0].spans) == 3
    with pytest.warns(UserWarning, match="1 labels of 'other'"):
        assert surfaces(label_studio.read(path, from_name="label")[0]) == [("زار", "LOC"), ("زار", "PER")]
    record = {"id": 1, "text": "زار 😀 فاس", "annotation_id": 2, "label": [both["value"]], "other": [other["value"]]}
    path.write_text(json.dumps([record]))
    assert len(label_studio.read(path)[0].spans) == 3
    with pytest.warns(UserWarning, match="1 labels of 'other'"):
        assert len(label_studio.read(path, from_name="label")[0].spans) == 2
    document = Document("فاس", [Span(0, 3, "LOC")], "x")
    label_studio.write(path, [document], from_name="ner", to_name="article", key="body")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert label_studio.read(path, key="body", from_name="ner") == [document]


def test_the_interface_names_what_is_written(tmp_path: Path) -> None:
    view = ElementTree.fromstring(label_studio.config(["PER", 'a<"b">&'], "ner", "article", "body"))
    assert [label.get("value") for label in view.iter("Label")] == ["PER", 'a<"b">&']
    labels, text = view.find("Labels"), view.find("Text")
    assert labels is not None
    assert text is not None
    assert (labels.get("name"), labels.get("toName"), text.get("name"), text.get("value")) == (
        "ner",
        "article",
        "article",
        "$body",
    )
    assert "direction: rtl" in view.attrib["style"]
