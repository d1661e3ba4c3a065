"""Services for tests: a quick tagger that knows six names instead of a model, clients, and what they ask."""

import re
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("prometheus_client")

from fastapi.testclient import TestClient

from kayan.checkpoint import Policy
from kayan.document import Document, Span
from kayan.schema import Schema
from kayan.server import Settings, create_app

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
