"""What the web service tells of itself: logs, metrics and headers, none of which hold text."""

import json
import logging
import sys
from typing import Any

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("prometheus_client")

from fastapi.testclient import TestClient

from kayan import wire
from kayan.telemetry import JsonFormatter
from tests.serving import TEXT, client, client_of, metric, quick, refusal, tag

__all__ = ["client", "client_of", "quick"]  # the fixtures


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
    assert "serving.py" in failure["at"][-1]
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
