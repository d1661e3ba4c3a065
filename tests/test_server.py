"""The web service, with a quick tagger that knows six names instead of a model."""

import json
import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("prometheus_client")

from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from kayan import wire
from kayan.document import Document
from kayan.server import Settings, create_app
from kayan.words import words
from tests.serving import POLICY, TEXT, Quick, client, client_of, found, metric, quick, refusal, soon, tag

__all__ = ["client", "client_of", "quick"]  # the fixtures


def test_text_and_json_get_the_same_answer(client: TestClient) -> None:
    answer = tag(client, TEXT, id="n1")
    assert answer.json() == {
        "id": "n1",
        "spans": [
            {"start": 4, "end": 16, "label": "PER", "score": 0.9, "text": "كريم الوزاني", "name": "كريم الوزاني"}
        ],
    }
    assert client.post("/v1/tag", json={"text": TEXT, "id": "n1"}).json() == answer.json()
    assert tag(client, TEXT, include_text=True).json()["text"] == TEXT
    assert tag(client, b"\xef\xbb\xbf" + TEXT.encode()).json()["spans"] == answer.json()["spans"], "a byte order mark"
    assert tag(client, "").json() == {"id": "1", "spans": []}


def test_the_canonical_name_is_given(client: TestClient) -> None:
    [span] = tag(client, "مقر للأمم المتحدة").json()["spans"]
    assert (span["text"], span["name"]) == ("لأمم المتحدة", "الأمم المتحدة")


def test_thresholds_of_article_request_and_service(client_of: Callable[..., TestClient]) -> None:
    def labels(response: Any) -> list[str]:
        return [span["label"] for span in response.json()["spans"]]

    client = client_of()
    assert labels(tag(client, TEXT)) == ["PER"], "the checkpoint's is 0.5"
    assert labels(tag(client, TEXT, threshold=0)) == ["PER", "LOC"]
    assert labels(client.post("/v1/tag?threshold=1", json={"text": TEXT, "threshold": 0})) == ["PER", "LOC"]
    assert labels(tag(client_of(threshold=0.95), TEXT)) == []
    body = {"articles": [{"text": TEXT}, {"text": TEXT, "threshold": 1}], "threshold": 0}
    [one, two] = client.post("/v1/batch?threshold=0.8", json=body).json()["articles"]
    assert (len(one["spans"]), len(two["spans"])) == (2, 0)


@given(st.lists(st.sampled_from(["😀", "𐤀", "ا", " ", "\n", "فاس", "كريم الوزاني"]), max_size=30).map("".join))
def test_offsets_in_either_unit_quote_the_mention(text: str) -> None:
    document = Document(text, found(text))
    for utf16 in (False, True):
        spans = wire.answer(wire.Task("1", text, 0, utf16, True), document)["spans"]
        assert len(spans) == len(document.spans)
        units, width = (text.encode("utf-16-le"), 2) if utf16 else (text.encode("utf-32-le"), 4)
        for span in spans:
            piece = units[span["start"] * width : span["end"] * width]
            assert piece.decode("utf-16-le" if utf16 else "utf-32-le") == span["text"]


def test_offsets_in_utf16_are_asked_for(client: TestClient) -> None:
    text = "😀 في طنجة"
    assert [span["start"] for span in tag(client, text, threshold=0).json()["spans"]] == [5]
    assert [span["start"] for span in tag(client, text, threshold=0, offsets="utf16").json()["spans"]] == [6]


def test_a_batch_keeps_order_and_numbers_what_has_no_id(client: TestClient) -> None:
    articles = [{"text": "في طنجة"}, {"text": TEXT, "id": "n"}, {"text": "x", "id": 7}]
    answers = client.post("/v1/batch", json={"articles": articles}).json()["articles"]
    assert [(answer["id"], len(answer["spans"])) for answer in answers] == [("1", 0), ("n", 1), ("7", 0)]
    assert client.post("/v1/batch", json={"articles": []}).json() == {"articles": []}


@pytest.mark.parametrize(
    ("body", "kind", "status", "code", "message"),
    [
        (TEXT.encode("windows-1256"), "text/plain", 400, "not_utf8", "at byte 0 (0xd2)"),
        (TEXT.encode("utf-16"), "text/plain", 400, "not_utf8", "0xff"),
        (TEXT.encode(), "text/plain; charset=windows-1256", 415, "unsupported_media_type", "in UTF-8"),
        (TEXT.encode(), "application/x-www-form-urlencoded", 415, "unsupported_media_type", "Content-Type: text/plain"),
        (TEXT.encode(), "", 415, "unsupported_media_type", "no content type"),
        (b"a\0b", "text/plain", 422, "nul_character", "U+0000 at character 1"),
        (b'{"text": "a\\u0000"}', "application/json", 422, "nul_character", "at character 1"),
        (b'{"text": "\\ud83d"}', "application/json", 400, "invalid_json", "surrogate"),
        (b'{"text": "\\udc00 \\ud83d\\ude00"}', "application/json", 400, "invalid_json", "surrogate"),
        (b'{"text": "\xff"}', "application/json", 400, "not_utf8", "at byte 10"),
        (b'{"text": ', "application/json", 400, "invalid_json", "EOF"),
        (b"[" * 100_000, "application/json", 400, "invalid_json", "recursion limit"),
        (b"[]", "application/json", 422, "invalid_field", "the body"),
        (b'{"id": "x"}', "application/json", 422, "invalid_field", "text: field required"),
        (b'{"text": 7}', "application/json", 422, "invalid_field", "text: input should be a valid string"),
        (b'{"text": "x", "treshold": 1}', "application/json", 422, "invalid_field", "accepted are text, id, threshold"),
        (b'{"text": "x", "threshold": 1.5}', "application/json", 422, "invalid_field", "threshold: "),
        (b'{"text": "x", "threshold": NaN}', "application/json", 422, "invalid_field", "threshold: "),
    ],
)
def test_bad_bodies_are_refused_with_a_message(
    client: TestClient, body: bytes, kind: str, status: int, code: str, message: str
) -> None:
    response = client.post("/v1/tag", content=body, headers={"content-type": kind} if kind else {})
    assert message in refusal(response, status, code)


def test_bad_parameters_paths_and_methods(client: TestClient) -> None:
    assert "offsets: " in refusal(tag(client, TEXT, offsets="bytes"), 422, "invalid_parameter")
    assert "threshold: " in refusal(tag(client, TEXT, threshold=7), 422, "invalid_parameter")
    body = {"articles": [{"text": "x"}, {"text": "y", "tresh": 0}]}
    message = refusal(client.post("/v1/batch", json=body), 422, "invalid_field")
    assert "articles.1.tresh" in message
    assert "text, id, threshold" in message
    refusal(client.get("/nowhere"), 404, "http_404")
    response = client.get("/v1/tag")
    refusal(response, 405, "http_405")
    assert response.headers["allow"] == "POST"


def test_limits_of_bytes_characters_and_articles(client_of: Callable[..., TestClient]) -> None:
    client = client_of(max_characters=10, max_bytes=100, max_queue=2)
    assert tag(client, "😀" * 10).status_code == 200, "characters are code points"
    assert "11 characters, 10 are accepted" in refusal(tag(client, "ا" * 11), 413, "article_too_long")
    assert "more than 100 bytes" in refusal(tag(client, "x" * 101), 413, "body_too_large")

    def pieces() -> Iterator[bytes]:
        for _ in range(11):
            yield b"x" * 10

    assert "more than 100 bytes" in refusal(tag(client, pieces()), 413, "body_too_large"), "no length given"  # type: ignore[arg-type]
    long = {"articles": [{"text": "x"}, {"text": "ا" * 11}]}
    assert "articles.1: text has 11" in refusal(client.post("/v1/batch", json=long), 413, "article_too_long")
    many = {"articles": [{"text": "x"}] * 3}
    assert "3 articles, 2 are accepted" in refusal(client.post("/v1/batch", json=many), 413, "too_many_articles")


def test_requests_of_one_moment_are_tagged_together(client_of: Callable[..., TestClient], quick: Quick) -> None:
    client = client_of(batch_wait_ms=1000)
    texts = [f"{i} {TEXT}" for i in range(4)]
    with ThreadPoolExecutor(4) as pool:
        answers = [one.json() for one in pool.map(lambda text: tag(client, text, include_text=True), texts)]
    assert [answer["text"] for answer in answers] == texts
    assert all(len(answer["spans"]) == 1 for answer in answers)
    assert len(quick.batches) < 4
    assert metric(client, "kayan_batch_articles_sum") == 4
    assert metric(client, "kayan_words_total") == 4 * len(words(texts[0]))


def test_a_poisoned_article_fails_alone(client: TestClient, quick: Quick) -> None:
    body = {"articles": [{"text": TEXT}, {"text": "سم", "id": "bad"}, {"text": TEXT}]}
    answers = client.post("/v1/batch", json=body).json()["articles"]
    assert [len(answers[i]["spans"]) for i in (0, 2)] == [1, 1]
    assert answers[1] == {
        "id": "bad",
        "error": {"code": "tagging_failed", "message": "this article could not be tagged"},
    }
    refusal(tag(client, "سم"), 500, "tagging_failed")
    assert tag(client, TEXT).status_code == 200


def test_a_full_queue_pushes_back(client_of: Callable[..., TestClient], quick: Quick) -> None:
    client = client_of(max_queue=1)
    quick.gate.clear()
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(tag, client, "أول")
        assert quick.begun.wait(20)
        second = pool.submit(tag, client, "ثان")
        soon(lambda: metric(client, "kayan_queue_articles") == 1)
        third = tag(client, "ثالث")
        assert "1 articles wait, 1 may" in refusal(third, 429, "queue_full")
        assert 1 <= int(third.headers["retry-after"]) <= 60
        assert client.get("/healthz").status_code == 200, "answered beside the queue"
        quick.gate.set()
        assert [future.result().status_code for future in (first, second)] == [200, 200]


def test_timeouts_say_whether_tagging_had_begun(client_of: Callable[..., TestClient], quick: Quick) -> None:
    client = client_of(timeout=0.3)
    quick.gate.clear()
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(tag, client, "أول")
        assert quick.begun.wait(20)
        second = pool.submit(tag, client, "ثان")
        assert "longer than 0.3 s" in refusal(first.result(), 504, "timeout")
        assert "no turn came within 0.3 s" in refusal(second.result(), 503, "no_turn")
        assert int(second.result().headers["retry-after"]) >= 1
    assert metric(client, "kayan_queue_articles") == 0
    quick.gate.set()
    assert tag(client, TEXT).status_code == 200
    assert quick.batches == [["أول"], [TEXT]], "what was given up is not tagged"


def test_not_ready_until_the_model_is_loaded() -> None:
    go = threading.Event()

    def load() -> Quick:
        assert go.wait(20)
        return Quick()

    with TestClient(create_app(POLICY, load, Settings())) as client:
        assert client.get("/healthz").json() == {"status": "alive"}
        for response in (client.get("/readyz"), tag(client, TEXT)):
            refusal(response, 503, "not_ready")
            assert response.headers["retry-after"] == "2"
        assert client.get("/v1/model").json()["ready"] is False
        go.set()
        soon(lambda: client.get("/readyz").status_code == 200)
        assert metric(client, "kayan_ready") == 1


def test_the_model_and_its_limits(client: TestClient) -> None:
    assert client.get("/v1/model").json() == {
        "version": "0.1.0",
        "model": "quick",
        "ready": True,
        "types": list(POLICY.schema.types),
        "threshold": 0.5,
        "max_characters": 200_000,
        "max_bytes": 1_600_000,
        "max_articles": 64,
    }


def test_the_schema_has_examples(client: TestClient) -> None:
    schema = client.get("/openapi.json").json()
    assert set(schema["paths"]) == {"/v1/tag", "/v1/batch", "/v1/model", "/healthz", "/readyz", "/metrics"}
    content = schema["paths"]["/v1/tag"]["post"]["requestBody"]["content"]
    assert wire.EXAMPLE in (
        content["text/plain"]["example"],
        content["application/json"]["schema"]["examples"][0]["text"],
    )
    [example] = schema["paths"]["/v1/batch"]["post"]["requestBody"]["content"]["application/json"]["schema"]["examples"]
    assert client.post("/v1/batch", json=example).status_code == 200, "the example works"
    for reference in re.findall(r'"\$ref": "#/components/schemas/(\w+)"', json.dumps(schema)):
        assert reference in schema["components"]["schemas"]
    assert "429" in schema["paths"]["/v1/tag"]["post"]["responses"]
    [mention] = schema["components"]["schemas"]["Tagged"]["examples"][0]["spans"]
    assert wire.EXAMPLE[mention["start"] : mention["end"]] == mention["text"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"threshold": 1.5},
        {"max_characters": 0},
        {"max_queue": 0},
        {"workers": 0},
        {"timeout": 0},
        {"timeout": float("nan")},
        {"batch_wait_ms": -1},
        {"port": 70000},
    ],
)
def test_settings_that_cannot_be(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be"):
        Settings(**wrong)


def test_the_page_loads_nothing_from_elsewhere(client: TestClient) -> None:
    html = client.get("/").text.replace("xmlns='http://www.w3.org/2000/svg'", "")
    assert not re.search(r"""(?:src|href)=["'](?!data:|#)|@import|url\((?!["']?data:)|//[a-z]+\.[a-z]""", html)
    assert "innerHTML" not in html
    assert "/* script */" not in html


def test_the_page_says_the_same_in_both_languages() -> None:
    folder = Path(wire.__file__).parent / "templates"
    arabic, english = (json.loads((folder / f"serve.{name}.json").read_text(encoding="utf-8")) for name in ("ar", "en"))
    assert arabic.keys() == english.keys()
    for key in arabic:
        if isinstance(arabic[key], str):
            assert sorted(re.findall(r"\{\w+\}", arabic[key])) == sorted(re.findall(r"\{\w+\}", english[key])), key
    assert arabic["types"].keys() == english["types"].keys() == set(POLICY.schema.types)
    for language in (arabic, english):
        letters = [letter for _, letter in language["types"].values()]
        assert len(set(letters)) == len(letters)
    assert [keys for keys, _ in arabic["shortcuts"]] == [keys for keys, _ in english["shortcuts"]]
    source = "".join((folder / f"serve.{name}").read_text(encoding="utf-8") for name in ("html", "js", "edit.js"))
    for key in re.findall(r"""data-t(?:-\w+)?="(\w+)"|\btext\("(\w+)\"""", source):
        assert "".join(key) in arabic
