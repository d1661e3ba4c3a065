"""The web service, with a quick tagger that knows six names instead of a model."""

import contextlib
import json
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("prometheus_client")

from click.testing import CliRunner
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from kayan import wire
from kayan.checkpoint import Policy
from kayan.cli import main
from kayan.document import Document, Span
from kayan.schema import Schema
from kayan.server import Connection, Settings, create_app, run
from kayan.telemetry import JsonFormatter
from kayan.words import words

NAMES = {
    "كريم الوزاني": "PER",
    "منظمة الصحة العالمية": "ORG",
    "فاس": "LOC",
    "طنجة": "LOC",
    "مراكش": "LOC",
    "لأمم المتحدة": "ORG",
}
SCORES = {"PER": 0.9, "ORG": 0.7, "LOC": 0.4}
POLICY = Policy(Schema(("PER", "ORG", "LOC", "EVENT", "DATE", "MISC")), threshold=0.5)
TEXT = "زار كريم الوزاني مدينة طنجة."
_NAME = re.compile("|".join(NAMES))


class Quick:
    """A tagger that finds `NAMES`; it waits at `gate`, and fails where «سم» stands in a text."""

    def __init__(self) -> None:
        self.gate, self.begun, self.batches = threading.Event(), threading.Event(), list[list[str]]()
        self.gate.set()

    def __call__(self, documents: list[Document]) -> list[Document]:
        self.batches.append([document.text for document in documents])
        self.begun.set()
        assert self.gate.wait(20)
        for document in documents:
            if "سم" in document.text:
                raise ValueError(f"cannot read {document.text}")
        return [document.with_spans(found(document.text)) for document in documents]


def found(text: str) -> list[Span]:
    return [Span(m.start(), m.end(), NAMES[m[0]], SCORES[NAMES[m[0]]]) for m in _NAME.finditer(text)]


@pytest.fixture
def quick() -> Quick:
    return Quick()


@pytest.fixture
def client_of(quick: Quick) -> Iterator[Callable[..., TestClient]]:
    """Makes clients of services with other settings; all are closed at the end."""
    made: list[TestClient] = []

    def make(**settings: Any) -> TestClient:
        app = create_app(POLICY, lambda: quick, Settings(**{"batch_wait_ms": 0, **settings}), "quick")
        made.append(TestClient(app).__enter__())
        soon(lambda: app.state.batcher.ready)
        return made[-1]

    yield make
    quick.gate.set()
    for client in made:
        client.__exit__(None, None, None)


@pytest.fixture
def client(client_of: Callable[..., TestClient]) -> TestClient:
    return client_of()


def soon(true: Callable[[], Any], seconds: float = 20) -> None:
    """Waits until it is true; fails when it does not come."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.01)


def tag(client: TestClient, text: str | bytes, **query: Any) -> Any:
    return client.post("/v1/tag", content=text, headers={"content-type": "text/plain"}, params=query)


def refusal(response: Any, status: int, code: str) -> str:
    assert (response.status_code, response.json()["error"]["code"]) == (status, code), response.text
    return str(response.json()["error"]["message"])


def metric(client: TestClient, line: str) -> float:
    shown = client.get("/metrics").text
    [value] = re.findall(f"^{re.escape(line)} (.*)$", shown, re.MULTILINE)
    return float(value)


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


def test_logs_and_metrics_hold_no_text(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    tag(client, TEXT, id="طنجة")
    tag(client, "سم كريم الوزاني")
    client.post("/v1/tag", json={"text": TEXT, "كريم": 1})
    client.post("/v1/batch", json={"articles": [{"text": "سم طنجة"}]})
    client.get("/طنجة?q=كريم", headers={"x-request-id": "abc-1"})
    client.get("/healthz", headers={"x-request-id": "كريم".encode()})
    lines = [JsonFormatter().format(record) for record in caplog.records if record.name.startswith("kayan")]
    told = "\n".join([*lines, client.get("/metrics").text])
    for secret in ("كريم", "طنجة", "سم", "%D9", "\\u06", "cannot read"):
        assert secret not in told
    records = [json.loads(line) for line in lines]
    first = records[0]
    assert {"time", "id", "seconds"} < first.keys()
    assert {key: value for key, value in first.items() if key not in ("time", "id", "seconds")} == {
        "level": "info",
        "event": "request",
        "method": "POST",
        "route": "/v1/tag",
        "code": 200,
        "articles": 1,
        "characters": len(TEXT),
    }
    [failure, _] = [record for record in records if record["event"] == "tagging failed"]
    assert failure["error"] == "ValueError"
    assert "test_server.py" in failure["at"][-1]
    assert [(r["route"], r["code"], r["id"]) for r in records if r.get("code") == 404] == [("other", 404, "abc-1")]


def test_exceptions_tell_nobody_but_the_log_where(
    client: TestClient, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("كريم")

    monkeypatch.setattr(wire, "decoded", broken)
    response = tag(client, TEXT)
    assert response.headers["x-request-id"] in refusal(response, 500, "internal")
    [line] = [JsonFormatter().format(record) for record in caplog.records if record.levelno == logging.ERROR]
    assert json.loads(line)["error"] == "RuntimeError"
    assert "كريم" not in line + response.text


def test_the_log_cuts_what_libraries_quote() -> None:
    try:
        raise ValueError("كريم")
    except ValueError:
        trouble: Any = sys.exc_info()
    message = "Task exception was never retrieved\nfuture: <Task exception=ValueError('كريم')>"
    record = logging.LogRecord("asyncio", logging.ERROR, "x.py", 1, message, None, trouble)
    entry = json.loads(JsonFormatter().format(record))
    assert (entry["event"], entry["error"]) == ("Task exception was never retrieved", "ValueError")
    assert "كريم" not in json.dumps(entry, ensure_ascii=False)


def test_metrics_count_requests_by_code(client: TestClient) -> None:
    tag(client, TEXT)
    tag(client, TEXT, threshold=0)
    tag(client, b"\xff")
    client.get("/a")
    client.get("/b")
    client.request("BREW", "/v1/tag")
    assert metric(client, 'kayan_requests_total{code="200",method="POST",route="/v1/tag"}') == 2
    assert metric(client, 'kayan_requests_total{code="400",method="POST",route="/v1/tag"}') == 1
    assert metric(client, 'kayan_requests_total{code="404",method="GET",route="other"}') == 2
    assert metric(client, 'kayan_requests_total{code="405",method="OTHER",route="/v1/tag"}') == 1
    assert metric(client, 'kayan_request_seconds_count{route="/v1/tag"}') == 4
    assert metric(client, "kayan_articles_total") == 2
    assert metric(client, "kayan_characters_total") == 2 * len(TEXT)
    assert metric(client, 'kayan_mentions_total{label="PER"}') == 2
    assert metric(client, 'kayan_mentions_total{label="LOC"}') == 1
    assert metric(client, "kayan_queue_seconds_count") == 2


def test_every_answer_has_its_headers(client: TestClient) -> None:
    for response in (client.get("/"), tag(client, TEXT), client.get("/nowhere"), client.get("/metrics")):
        assert "default-src 'none'" in response.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in response.headers["content-security-policy"]
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["referrer-policy"] == "no-referrer"
        assert response.headers["cache-control"] == "no-store"
        assert "access-control-allow-origin" not in response.headers
    policy = client.get("/").headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "http" not in policy


def test_the_page_loads_nothing_from_elsewhere(client: TestClient) -> None:
    html = client.get("/").text.replace("xmlns='http://www.w3.org/2000/svg'", "")
    assert not re.search(r"""(?:src|href)=["'](?!data:|#)|@import|url\((?!["']?data:)|//[a-z]+\.[a-z]""", html)
    assert "innerHTML" not in html
    assert "/* script */" not in html


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


@pytest.fixture
def server(quick: Quick) -> Iterator[Callable[..., str]]:
    """Starts services behind real sockets and gives their host and port."""
    ended: list[tuple[Any, threading.Thread]] = []

    def start(**settings: Any) -> tuple[str, int]:
        chosen = Settings(port=0, **{"batch_wait_ms": 0, **settings})
        app = create_app(POLICY, lambda: quick, chosen)
        thread = threading.Thread(target=run, args=(app, chosen), daemon=True)
        thread.start()
        soon(lambda: app.state.batcher.ready and hasattr(app.state, "url"))
        ended.append((app, thread))
        host, port = app.state.url.removeprefix("http://").split(":")
        return host, int(port)

    yield start  # type: ignore[misc]
    quick.gate.set()
    for app, thread in ended:
        app.state.stop()
        thread.join(20)
        assert not thread.is_alive()


def asked(address: tuple[str, int], text: str = TEXT) -> bytes:
    """The answer to one request over a socket of its own."""
    with sent(address, text) as connection:
        return received(connection)


def sent(address: tuple[str, int], text: str = TEXT, whole: bool = True) -> socket.socket:
    connection = socket.create_connection(address, 20)
    body = text.encode()
    head = "POST /v1/tag HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nConnection: close\r\n"
    connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + (body if whole else body[:3]))
    return connection


def received(connection: socket.socket) -> bytes:
    parts = []
    while part := connection.recv(65536):
        parts.append(part)
    return b"".join(parts)


def test_slow_clients_are_let_go_and_hurt_nobody(
    server: Callable[..., tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "PATIENCE", 1.0)
    address = server()
    silent = socket.create_connection(address, 20)
    half_head = socket.create_connection(address, 20)
    half_head.sendall(b"POST /v1/tag HTTP/1.1\r\nHost:")
    half_body = sent(address, whole=False)
    assert asked(address).startswith(b"HTTP/1.1 200")
    assert received(half_body).startswith(b"HTTP/1.1 408")
    for connection in (silent, half_head):
        with contextlib.suppress(ConnectionResetError):
            assert received(connection) == b""
    assert asked(address).startswith(b"HTTP/1.1 200")


def test_an_answer_that_nobody_reads_is_given_up(
    server: Callable[..., tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    lost, lose = threading.Event(), Connection.connection_lost

    def losing(self: Connection, error: Exception | None) -> None:
        lose(self, error)
        lost.set()

    monkeypatch.setattr(wire, "PATIENCE", 1.0)
    monkeypatch.setattr(Connection, "connection_lost", losing)
    address = server(threshold=0, max_characters=1_000_000)
    with sent(
        address, "طنجة " * 100_000
    ) as connection:  # some 9 MB are answered, more than a system holds for a client
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        assert connection.recv(12) == b"HTTP/1.1 200"
        assert not lost.is_set()
        assert lost.wait(10)


def test_what_nobody_waits_for_any_more_is_not_tagged(
    server: Callable[..., tuple[str, int]], quick: Quick, caplog: pytest.LogCaptureFixture
) -> None:
    address = server()
    quick.gate.clear()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(asked, address, "أول")
        assert quick.begun.wait(20)
        sent(address, "راحل").close()
        time.sleep(0.3)
        quick.gate.set()
        assert first.result().startswith(b"HTTP/1.1 200")
    assert asked(address, "ثالث").startswith(b"HTTP/1.1 200")
    assert [text for batch in quick.batches for text in batch] == ["أول", "ثالث"]
    assert [record.getMessage() for record in caplog.records if record.levelno > logging.INFO] == []


def test_a_body_that_is_too_large_gets_its_answer_before_it_is_sent(server: Callable[..., tuple[str, int]]) -> None:
    address = server(max_bytes=100)
    with socket.create_connection(address, 20) as connection:
        connection.sendall(
            b"POST /v1/tag HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 99999999\r\n\r\n"
        )
        assert connection.recv(12) == b"HTTP/1.1 413"


SLOW = """
import sys, time
from kayan.server import Connection, Settings, create_app, run
from tests.test_server import POLICY, Quick

def load():
    quick = Quick()
    def slow(documents):
        print("begun", flush=True)
        time.sleep(1)
        return quick(documents)
    return slow

settings = Settings(port=0, batch_wait_ms=0)
run(create_app(POLICY, load, settings), settings)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_service_once_requests_are_answered(number: signal.Signals) -> None:
    root = Path(__file__).parent.parent
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW], cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout
    assert process.stderr
    url = json.loads(process.stderr.readline())["url"]
    address = ("127.0.0.1", int(url.rsplit(":", 1)[1]))
    with ThreadPoolExecutor(1) as pool:

        def patient() -> bytes:
            while (answer := asked(address)).startswith(b"HTTP/1.1 503"):
                time.sleep(0.05)
            return answer

        answer = pool.submit(patient)
        assert process.stdout.readline() == "begun\n"
        idle = socket.create_connection(address, 20)
        process.send_signal(number)
        assert answer.result(20).startswith(b"HTTP/1.1 200"), "what was under way is answered"
        assert process.wait(20) == 0
        idle.close()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address, 20)
    for line in process.stderr.read().splitlines():
        assert json.loads(line)["level"] == "info", line


def test_a_checkpoint_or_address_that_cannot_be_had_is_one_line(tmp_path: Path, checkpoint: Path) -> None:
    for options, message in (
        (["--model", str(tmp_path / "none")], "is no checkpoint folder"),
        (["--timeout", "0"], "timeout must be a number of seconds over 0"),
        (["--model", str(checkpoint), "--host", "256.0.0.1"], "256.0.0.1:8000 cannot be listened on"),
        (["--model", str(checkpoint), "--port", "0", "--device", "quantum"], "device 'quantum' cannot be used"),
    ):
        result = CliRunner().invoke(main, ["serve", *options])
        assert result.exit_code == 2, result.output
        [line] = [line for line in result.output.splitlines() if not line.startswith("{")]
        assert line.startswith("error: ")
        assert message in line


def test_the_command_serves_a_checkpoint(checkpoint: Path) -> None:
    command = [
        sys.executable,
        "-c",
        "from kayan.cli import main; main()",
        "serve",
        "--model",
        str(checkpoint),
        "--port",
        "0",
    ]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, cwd=Path(__file__).parent.parent, env={**os.environ, "LC_ALL": "C"}
    )
    assert process.stderr
    try:
        url = json.loads(process.stderr.readline())["url"]
        address = ("127.0.0.1", int(url.rsplit(":", 1)[1]))
        soon(lambda: asked(address).startswith(b"HTTP/1.1 200"), 60)
        answer = asked(address)
    finally:
        process.terminate()
        assert process.wait(60) == 0
    spans = json.loads(answer.partition(b"\r\n\r\n")[2])["spans"]
    assert all(TEXT[span["start"] : span["end"]] == span["text"] for span in spans)


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
