"""Batcher: items of concurrent requests gathered for a moment and worked on together, by threads that own their worker."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class Busy(RuntimeError):
    """The queue has no room, or no time; `retry_after` is in how many whole seconds it probably has."""

    def __init__(self, retry_after: int):
        self.retry_after = retry_after
        super().__init__(f"the queue is full, try again in {retry_after} s")


@dataclass(frozen=True)
class Batch:
    """What is told of a batch that was worked on: the sizes of its items, how long each waited, how long the work took
    (seconds)."""

    sizes: tuple[int, ...]
    waited: tuple[float, ...]
    took: float


@dataclass(frozen=True, eq=False)
class _Job(Generic[Item, Answer]):
    item: Item
    size: int
    future: Future[Answer] = field(default_factory=Future)
    since: float = field(default_factory=time.monotonic)


class Batcher(Generic[Item, Answer]):
    """Answers items in batches.

    load: called once in each thread; what it gives turns a list of items into the list of their answers, and only that
    thread calls it. measure: the size of an item. workers: threads. max_queue: items that may wait. wait: seconds that
    the first item of a batch waits for others, counted from its arrival. A batch holds at most `max_items`, and at most
    `max_size`, and by the pace so far what takes `seconds`, unless one item alone is larger. patience: seconds in which
    items are of use; those that would take longer behind what is there are not taken. told: gets a `Batch` after each.
    failed: called when loading raised; `failure` then holds what.

    An item whose batch fails is tried again alone, so that it gets its own error and its neighbours their answers.

    >>> batcher = Batcher(lambda: lambda texts: [text[::-1] for text in texts])
    >>> batcher.start()
    >>> [future.result(5) for future in batcher.submit(["abc", "de"])]
    ['cba', 'ed']
    >>> batcher.close()
    True
    """

    def __init__(
        self,
        load: Callable[[], Callable[[list[Item]], Sequence[Answer]]],
        measure: Callable[[Item], int] = lambda item: 1,
        *,
        workers: int = 1,
        max_queue: int = 64,
        max_items: int = 64,
        max_size: int = 32_768,
        wait: float = 0.005,
        seconds: float = math.inf,
        patience: float = math.inf,
        told: Callable[[Batch], None] = lambda batch: None,
        failed: Callable[[], None] = lambda: None,
    ):
        self._load, self._measure, self._told, self._failed = load, measure, told, failed
        self.workers, self.max_queue = workers, max_queue
        self.max_items, self.max_size, self.wait = max_items, max_size, wait
        self.seconds, self.patience = seconds, patience
        self.failure: BaseException | None = None
        self._jobs: deque[_Job[Item, Answer]] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._loaded = 0
        # Seconds that one unit of size takes, an average that forgets.
        self._pace = 0.0
        # Size of what is being worked on.
        self._running = 0
        self._threads = [threading.Thread(target=self._run, name=f"worker-{i}", daemon=True) for i in range(workers)]

    @property
    def ready(self) -> bool:
        """Whether every thread has loaded and none is told to end."""
        return self._loaded == self.workers and not self._closing

    @property
    def waiting(self) -> int:
        """Items that wait, those being worked on not counted."""
        return len(self._jobs)

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def submit(self, items: Iterable[Item]) -> list[Future[Answer]]:
        """A future for each item; all of them are taken, or none, with `Busy`. A future that is cancelled before its turn
        is not worked on, one that `running()` is can no longer be cancelled."""
        jobs = [_Job[Item, Answer](item, self._measure(item)) for item in items]
        with self._changed:
            ahead = self._seconds()
            late = ahead > 0 and ahead + sum(job.size for job in jobs) * self._pace / self.workers > self.patience
            if self._closing or late or len(self._jobs) + len(jobs) > self.max_queue:
                raise Busy(self.delay())
            self._jobs.extend(jobs)
            self._changed.notify_all()
        return [job.future for job in jobs]

    def cancel(self, futures: Iterable[Future[Answer]]) -> None:
        """Cancel those that still wait, and give their places in the queue free."""
        for future in futures:
            future.cancel()
        with self._changed:
            self._jobs = deque(job for job in self._jobs if not job.future.cancelled())

    def delay(self) -> int:
        """Whole seconds, 1 to 60, until what is there now is probably done."""
        with self._changed:
            return min(60, max(1, math.ceil(self._seconds())))

    def _seconds(self) -> float:
        return (self._running + sum(job.size for job in self._jobs)) * self._pace / self.workers

    def close(self, timeout: float | None = None) -> bool:
        """Take nothing more, work off what waits, and end the threads; whether they ended within `timeout` seconds."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        end = None if timeout is None else time.monotonic() + timeout
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(None if end is None else max(0.0, end - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _run(self) -> None:
        try:
            work = self._load()
        except BaseException as error:
            self.failure = error
            self._failed()
            return
        with self._changed:
            self._loaded += 1
        while batch := self._take():
            self._answer(work, batch)

    def _take(self) -> list[_Job[Item, Answer]]:
        """The next batch; empty when all is done and the batcher is closing."""
        batch: list[_Job[Item, Answer]] = []
        size = 0
        with self._changed:
            most = min(self.max_size, self.seconds / self._pace) if self._pace else self.max_size
            while True:
                if self._jobs:
                    if batch and size + self._jobs[0].size > most:
                        return batch
                    job = self._jobs.popleft()
                    if job.future.set_running_or_notify_cancel():
                        batch.append(job)
                        size += job.size
                        self._running += job.size
                    if len(batch) >= self.max_items or size >= most:
                        return batch
                    continue
                left = batch[0].since + self.wait - time.monotonic() if batch else None
                if self._closing or (left is not None and left <= 0):
                    return batch
                self._changed.wait(left)

    def _answer(self, work: Callable[[list[Item]], Sequence[Answer]], batch: list[_Job[Item, Answer]]) -> None:
        start = time.monotonic()
        try:
            answers = work([job.item for job in batch])
            if len(answers) != len(batch):
                raise RuntimeError(f"{len(batch)} items got {len(answers)} answers")
        except BaseException as error:
            if len(batch) == 1:
                self._worked(batch)
                batch[0].future.set_exception(error)
            else:
                for job in batch:
                    self._answer(work, [job])
            return
        took = time.monotonic() - start
        pace = took / max(1, sum(job.size for job in batch))
        self._pace = pace if not self._pace else 0.8 * self._pace + 0.2 * pace
        self._told(Batch(tuple(job.size for job in batch), tuple(start - job.since for job in batch), took))
        self._worked(batch)
        for job, answer in zip(batch, answers, strict=True):
            job.future.set_result(answer)

    def _worked(self, batch: list[_Job[Item, Answer]]) -> None:
        """Before the answers are given: who has one may ask at once for more."""
        with self._changed:
            self._running -= sum(job.size for job in batch)
