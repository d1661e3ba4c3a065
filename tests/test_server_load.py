"""The web service under load: a short form of `python -m tests.load`, with a model that knows nothing and is quick."""

import asyncio
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("prometheus_client")

from fastapi.testclient import TestClient

from kayan.document import Document
from kayan.server import Settings, create_app
from tests.load.__main__ import markdown
from tests.load.client import GOOD, ODD, Outcome, Traffic
from tests.load.scenario import Phase, Plan, memory, run
from tests.serving import POLICY, refusal, soon, tag


@pytest.mark.skipif(sys.platform == "win32", reason="SIGTERM ends a process there")
def test_slow_and_leaving_clients_a_burst_and_a_signal(
    checkpoint: Path, articles: list[Document], tmp_path: Path
) -> None:
    plan = Plan(
        model=str(checkpoint),
        rounds=0,
        warm=0.5,
        rated_seconds=3,
        rated=0.3,
        burst_seconds=1,
        clients=4,
        stalled=False,
        growth=float("inf"),  # it is not warm yet
    )
    result = asyncio.run(run(plan, [document.text for document in articles], tmp_path))
    failed = {name for name, holds in result["checks"].items() if not holds}
    # A quick machine may be done before a second request waits.
    assert failed <= {"the burst is above the capacity"}, result
    kinds = result["phases"]["rated"][0]["kinds"]
    assert kinds.keys() >= ODD.keys(), "each was there"
    assert set(kinds["slow body"]["statuses"]) == set(kinds["slow reader"]["statuses"]) == {"200"}
    assert set(kinds["leaves"]["statuses"]) == {"0"}
    assert "exit status 0" in "\n".join(markdown(result))


def test_who_would_wait_too_long_is_told_at_once_and_whoever_waits_is_answered() -> None:
    """A millisecond a character, 20 articles of half a second each, 4 seconds for an answer."""

    def slow(documents: Sequence[Document]) -> Sequence[Document]:
        time.sleep(sum(len(document.text) for document in documents) / 1000)
        return documents

    app = create_app(POLICY, lambda: slow, Settings(timeout=4, batch_wait_ms=0))
    with TestClient(app) as client, ThreadPoolExecutor(20) as pool:
        soon(lambda: app.state.batcher.ready)
        assert tag(client, "ا" * 100).status_code == 200
        answers = list(pool.map(lambda _: tag(client, "ا" * 500), range(20)))
        statuses = [answer.status_code for answer in answers]
        assert set(statuses) == {200, 429}
        assert statuses.count(200) >= 4
        for answer in answers:
            if answer.status_code == 429:
                assert "for an answer within 4 s" in refusal(answer, 429, "queue_full")
                assert int(answer.headers["retry-after"]) >= 1


def test_traffic_is_the_same_for_the_same_seed() -> None:
    def drawn(seed: int) -> list[object]:
        requests = Traffic(["في فاس", "إلى طنجة"], seed).requests(GOOD | ODD)
        return [next(requests) for _ in range(200)]

    assert drawn(1) == drawn(1) != drawn(2)
    assert {request.kind for request in drawn(1)} == (GOOD | ODD).keys()  # type: ignore[attr-defined]


def test_memory_that_grows_is_seen_and_an_outcome_is_what_its_kind_should_have() -> None:
    phase = Phase([], [(float(at), 100.0 + max(0, 40 - at) + at / 60) for at in range(0, 601, 10)], seconds=600)
    found = memory(phase)
    assert found["slope_megabytes_a_minute"] == pytest.approx(1), "the start does not count"
    assert found["growth"] == pytest.approx(0.07, abs=0.01)
    assert Outcome("wrong", 422, 0, 1, 0).expected
    assert Outcome("leaves", 0, 0, 1, 0).expected
    for kind, status, trouble in (("text", 429, ""), ("text", -1, "EOFError"), ("wrong", 500, ""), ("text", 200, "x")):
        assert not Outcome(kind, status, 0, 1, 5, trouble).expected
