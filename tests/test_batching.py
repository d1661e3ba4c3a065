import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait

import pytest

from kayan.batching import Batch, Batcher, Busy


class Worker:
    """Turns texts around once `open` is set, keeps what came together, and fails where «poison» is among it."""

    def __init__(self) -> None:
        self.open, self.begun, self.batches = threading.Event(), threading.Event(), list[list[str]]()

    def __call__(self, texts: list[str]) -> list[str]:
        self.batches.append(texts)
        self.begun.set()
        assert self.open.wait(10)
        if "poison" in texts:
            raise ValueError("poison")
        return [text[::-1] for text in texts]


@pytest.fixture
def worker() -> Worker:
    return Worker()


@pytest.fixture
def batcher_of(worker: Worker) -> Iterator[Callable[..., Batcher[str, str]]]:
    made: list[Batcher[str, str]] = []

    def make(**settings: object) -> Batcher[str, str]:
        made.append(Batcher(lambda: worker, len, **settings))  # type: ignore[arg-type]
        made[-1].start()
        return made[-1]

    yield make
    worker.open.set()
    assert all(batcher.close(10) for batcher in made)


def results(futures: list[Future[str]]) -> list[str | None]:
    wait(futures, 10)
    return [None if future.exception() else future.result() for future in futures]


def test_items_of_one_moment_are_worked_on_together_and_in_order(
    worker: Worker, batcher_of: Callable[..., Batcher[str, str]]
) -> None:
    told: list[Batch] = []
    batcher = batcher_of(wait=10, max_items=3, told=told.append)
    futures = [future for text in ("ab", "cd", "ef") for future in batcher.submit([text])]
    worker.open.set()
    assert results(futures) == ["ba", "dc", "fe"]
    assert worker.batches == [["ab", "cd", "ef"]]
    assert told[0].sizes == (2, 2, 2)
    assert all(seconds >= 0 for seconds in (*told[0].waited, told[0].took))


def test_one_item_is_not_kept_waiting(worker: Worker, batcher_of: Callable[..., Batcher[str, str]]) -> None:
    batcher = batcher_of(wait=0.01)
    worker.open.set()
    assert results(batcher.submit(["ab"])) == ["ba"]
    assert worker.batches == [["ab"]]


def test_a_batch_stays_within_its_size_unless_one_item_is_larger(
    worker: Worker, batcher_of: Callable[..., Batcher[str, str]]
) -> None:
    batcher = batcher_of(wait=0.05, max_size=4)
    futures = batcher.submit(["ab", "cd", "too long", "e"])
    worker.open.set()
    assert results(futures) == ["ba", "dc", "gnol oot", "e"]
    assert worker.batches == [["ab", "cd"], ["too long"], ["e"]]


def test_a_batch_is_as_much_as_takes_its_seconds_by_the_pace_so_far() -> None:
    batches: list[list[str]] = []
    entered, go = threading.Semaphore(0), threading.Semaphore(0)

    def work(texts: list[str]) -> list[str]:
        batches.append(texts)
        entered.release()
        assert go.acquire(timeout=10)
        return texts

    batcher = Batcher[str, str](lambda: work, len, wait=0, seconds=0.2)
    batcher.start()
    futures = batcher.submit(["aaaa"])
    assert entered.acquire(timeout=10)
    futures += batcher.submit(["bb", "c", "d", "ee"])
    time.sleep(0.4)  # 0.1 s a letter
    for _ in range(5):
        go.release()
    assert results(futures) == ["aaaa", "bb", "c", "d", "ee"]
    assert batches[:2] == [["aaaa"], ["bb"]], "more than two letters take too long, and the pace was not known before"
    assert batcher.close(10)


def test_what_would_come_too_late_is_not_taken(worker: Worker, batcher_of: Callable[..., Batcher[str, str]]) -> None:
    batcher = batcher_of(wait=0, patience=0.5)
    first = batcher.submit(["aaaa"])
    assert worker.begun.wait(10)
    time.sleep(0.4)  # 0.1 s a letter
    worker.open.set()
    assert results(first) == ["aaaa"]
    worker.open.clear()
    worker.begun.clear()
    alone = batcher.submit(["b" * 50])
    assert worker.begun.wait(10), "where nothing is ahead, it may succeed"
    with pytest.raises(Busy) as busy:
        batcher.submit(["c"])
    assert busy.value.retry_after > 1, "what is worked on counts"
    worker.open.set()
    assert results(alone) == ["b" * 50]
    assert results(batcher.submit(["c"])) == ["c"]


def test_a_poisoned_item_fails_alone(worker: Worker, batcher_of: Callable[..., Batcher[str, str]]) -> None:
    batcher = batcher_of(wait=10, max_items=3)
    worker.open.set()
    futures = batcher.submit(["ab", "poison", "cd"])
    assert results(futures) == ["ba", None, "dc"]
    assert isinstance(futures[1].exception(), ValueError)
    assert results(batcher.submit(["x", "y", "z"])) == ["x", "y", "z"], "the thread lives on"


def test_a_worker_that_loses_an_answer_fails_the_item(batcher_of: Callable[..., Batcher[str, str]]) -> None:
    batcher = Batcher[str, str](lambda: lambda texts: [])
    batcher.start()
    [future] = batcher.submit(["ab"])
    assert "1 items got 0 answers" in str(future.exception(10))
    assert batcher.close(10)


def test_a_full_queue_takes_all_or_none(worker: Worker, batcher_of: Callable[..., Batcher[str, str]]) -> None:
    batcher = batcher_of(max_queue=2, wait=0)
    first = batcher.submit(["a"])
    assert worker.begun.wait(10)
    queued = batcher.submit(["b"])
    with pytest.raises(Busy) as busy:
        batcher.submit(["c", "d"])
    assert 1 <= busy.value.retry_after <= 60
    assert batcher.waiting == 1
    queued += batcher.submit(["c"])
    worker.open.set()
    assert results(first + queued) == ["a", "b", "c"]


def test_what_is_cancelled_in_time_is_not_worked_on(
    worker: Worker, batcher_of: Callable[..., Batcher[str, str]]
) -> None:
    batcher = batcher_of(max_queue=2, wait=0)
    [running] = batcher.submit(["a"])
    assert worker.begun.wait(10)
    waiting = batcher.submit(["b", "c"])
    batcher.cancel([running, *waiting])
    assert (running.cancelled(), waiting[0].cancelled()) == (False, True)
    assert batcher.waiting == 0
    last = batcher.submit(["d"])
    worker.open.set()
    assert results([running, *last]) == ["a", "d"]
    assert worker.batches == [["a"], ["d"]]


def test_closing_works_off_what_waits_and_takes_nothing_more(
    worker: Worker, batcher_of: Callable[..., Batcher[str, str]]
) -> None:
    batcher = batcher_of(wait=0, max_items=1)
    futures = batcher.submit(["ab", "cd"])
    assert worker.begun.wait(10)
    assert not batcher.close(0.01), "still at work"
    with pytest.raises(Busy):
        batcher.submit(["ef"])
    worker.open.set()
    assert batcher.close(10)
    assert results(futures) == ["ba", "dc"]


def test_each_thread_loads_its_own_worker() -> None:
    both, threads = threading.Barrier(2, timeout=10), set()

    def load() -> Callable[[list[str]], list[str]]:
        owner = threading.get_ident()

        def work(texts: list[str]) -> list[str]:
            assert threading.get_ident() == owner
            both.wait()
            threads.add(owner)
            return texts

        return work

    batcher = Batcher[str, str](load, workers=2, max_items=1, wait=0)
    batcher.start()
    assert results(batcher.submit(["a", "b"])) == ["a", "b"]
    assert len(threads) == 2
    assert batcher.close(10)


def test_a_load_that_fails_is_told() -> None:
    failed = threading.Event()

    def load() -> Callable[[list[str]], list[str]]:
        raise ImportError("no runtime")

    batcher = Batcher[str, str](load, failed=failed.set)
    batcher.start()
    assert failed.wait(10)
    assert isinstance(batcher.failure, ImportError)
    assert not batcher.ready
    assert batcher.close(10)
