"""The load scenario: in-process rate, capacity, rated load, burst, end by a signal; what happened as data, and its checks."""

from __future__ import annotations

import asyncio
import json
import os
import random
import resource
import signal
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.load.client import GOOD, ODD, STALLED, Client, Outcome, Request, Traffic

ROOT = Path(__file__).parent.parent.parent
# Connections that the client opens at most, below the service's own limit.
_OPEN = 200


@dataclass(frozen=True)
class Plan:
    """How long each part takes (seconds), and what is asked of it.

    rounds: of `reference` seconds in process and `saturated` seconds through the service, in turns; with none, no ratio is
    taken. rated, burst: words a second as shares of the capacity. clients: that send at once when it is saturated. queue:
    the service's --max-queue.
    """

    model: str | None = None
    rounds: int = 3
    reference: float = 60
    saturated: float = 60
    warm: float = 30
    rated_seconds: float = 1200
    rated: float = 0.6
    burst_seconds: float = 60
    burst: float = 3.0
    clients: int = 24
    queue: int = 64
    seed: int = 0
    stalled: bool = True
    ratio: float = 0.8
    growth: float = 0.05

    @classmethod
    def lasting(cls, minutes: float, **others: Any) -> Plan:
        """A plan that takes about so long, but for the start of the processes."""
        share = 60 * minutes
        parts = {"reference": 0.04 * share, "saturated": 0.05 * share, "warm": 0.04 * share}
        return cls(**parts, rated_seconds=0.62 * share, burst_seconds=0.05 * share, **others)


class Server:
    """`kayan serve` in a process of its own, its log in a file."""

    def __init__(self, plan: Plan, log: Path):
        command = [sys.executable, "-c", "from kayan.cli import main; main()", "serve", "--port", "0"]
        command += ["--max-queue", str(plan.queue)] + (["--model", plan.model] if plan.model else [])
        self.log = log
        with log.open("wb") as file:
            self.process = subprocess.Popen(command, stderr=file, cwd=ROOT)
        self.host, self.port = "127.0.0.1", 0

    async def ready(self, seconds: float = 120) -> None:
        end = time.monotonic() + seconds
        while not self.port:
            if self.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"the service did not start: {self.log.read_text(encoding='utf-8')[-500:]}")
            await asyncio.sleep(0.1)
            for line in self.log.read_text(encoding="utf-8").splitlines()[:1]:
                self.port = int(json.loads(line)["url"].rsplit(":", 1)[1])
        client = Client(self.host, self.port)
        while b'"ready"' not in await client.get("/readyz"):
            if self.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"the model was not loaded: {self.log.read_text(encoding='utf-8')[-500:]}")
            await asyncio.sleep(0.1)
        await client.close()

    def megabytes(self) -> float | None:
        """Resident memory; None where the system does not say it in /proc."""
        try:
            pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        except (OSError, IndexError):
            return None
        return pages * resource.getpagesize() / 1e6

    def cpu(self) -> float:
        try:
            fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return 0.0
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def complaints(self) -> list[str]:
        """The lines of the log that are no information."""
        lines = self.log.read_text(encoding="utf-8").splitlines()
        return [
            line for line in lines if not line.startswith("{") or json.loads(line)["level"] not in ("info", "debug")
        ]

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


# Tags the same articles with the same settings as `kayan serve`, for as long as a line of its input says.
_REFERENCE = """
import json, sys, time
from kayan.tagger import Tagger
from kayan.server import EXAMPLE
texts, model = json.load(open(sys.argv[1], encoding="utf-8")), json.loads(sys.argv[2])
tagger = Tagger.load(model, threshold=0)
tagger(EXAMPLE)
print("ready", flush=True)
for line in sys.stdin:
    begun, words, at = time.perf_counter(), 0, 0
    def articles():
        global at
        while time.perf_counter() - begun < float(line):
            yield texts[at % len(texts)]
            at += 1
    for document in tagger.stream(articles()):
        words += len(document.text.split())
    print(json.dumps({"words": words, "seconds": time.perf_counter() - begun}), flush=True)
"""


class Reference:
    """`Tagger.stream` over the articles of saturated traffic, in a process of its own that waits between turns."""

    def __init__(self, plan: Plan, traffic: Traffic, folder: Path):
        requests = traffic.requests(GOOD)
        texts = [text for _ in range(2000) for text in next(requests).texts]
        path = folder / "reference.json"
        path.write_text(json.dumps(texts, ensure_ascii=False), encoding="utf-8")
        command = [sys.executable, "-c", _REFERENCE, str(path), json.dumps(plan.model)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        self._line()
        path.unlink()

    def rate(self, seconds: float) -> float:
        """Words a second."""
        assert self.process.stdin
        self.process.stdin.write(f"{seconds}\n")
        self.process.stdin.flush()
        told = json.loads(self._line())
        return told["words"] / told["seconds"]

    def _line(self) -> str:
        assert self.process.stdout
        if not (line := self.process.stdout.readline()):
            raise RuntimeError("the tagger in process ended; its error stands above")
        return line

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


@dataclass
class Phase:
    """A part of the scenario: its outcomes, (seconds since its start, megabytes) of the service, processors that service and
    client took (1 is one core)."""

    outcomes: list[Outcome]
    memory: list[tuple[float, float]]
    seconds: float = 0
    server_cores: float = 0
    client_cores: float = 0
    held_back: int = 0

    def words_per_second(self) -> float:
        return sum(one.words for one in self.outcomes if one.status == 200) / self.seconds

    def summary(self) -> dict[str, Any]:
        kinds = {}
        for kind in (*GOOD, *ODD, STALLED):
            if own := [one for one in self.outcomes if one.kind == kind]:
                answered = sorted(one.seconds for one in own if one.status == 200)
                statuses = Counter(str(one.status) for one in own)
                kinds[kind] = {"requests": len(own), "statuses": dict(sorted(statuses.items()))} | percentiles(answered)
        return {
            "seconds": self.seconds,
            "requests": len(self.outcomes),
            "words_per_second": self.words_per_second(),
            "statuses": dict(sorted(Counter(str(one.status) for one in self.outcomes).items())),
            "kinds": kinds,
            "server_cores": self.server_cores,
            "client_cores": self.client_cores,
            "held_back": self.held_back,
        }


def percentiles(ordered: Sequence[float]) -> dict[str, float]:
    """Of seconds in order, in milliseconds; nothing of nothing."""
    return {f"p{q}_ms": 1000 * ordered[min(len(ordered) - 1, len(ordered) * q // 100)] for q in (50, 95, 99) if ordered}


@asynccontextmanager
async def observed(server: Server) -> AsyncIterator[Phase]:
    """A phase whose clock, memory and processors run as long as the block."""
    phase, begun = Phase([], []), time.monotonic()
    cpu, own = server.cpu(), time.process_time()

    async def sample() -> None:
        while (megabytes := server.megabytes()) is not None:
            phase.memory.append((time.monotonic() - begun, megabytes))
            await asyncio.sleep(1)

    sampling = asyncio.create_task(sample())
    try:
        yield phase
    finally:
        sampling.cancel()
        phase.seconds = time.monotonic() - begun
        phase.server_cores = (server.cpu() - cpu) / phase.seconds
        phase.client_cores = (time.process_time() - own) / phase.seconds


async def saturate(server: Server, client: Client, requests: Iterator[Request], clients: int, seconds: float) -> Phase:
    """So many clients that each send their next request when the last is answered."""
    async with observed(server) as phase:
        end = time.monotonic() + seconds

        async def one() -> None:
            while time.monotonic() < end:
                outcome = await client.send(next(requests))
                phase.outcomes.append(outcome)
                if outcome.status == 429:
                    await asyncio.sleep(0.1)

        await asyncio.gather(*(one() for _ in range(clients)))
    return phase


async def arrive(
    server: Server, client: Client, first: Sequence[Request], requests: Iterator[Request], rate: float, seconds: float
) -> Phase:
    """The first requests at once, then others as they come, so many a second on the average, whether or not those before
    are answered."""
    async with observed(server) as phase:
        draw, tasks = random.Random(client.random.random()), set[asyncio.Task[None]]()

        async def one(request: Request) -> None:
            phase.outcomes.append(await client.send(request))

        def begin(request: Request) -> None:
            tasks.add(task := asyncio.create_task(one(request)))
            task.add_done_callback(tasks.discard)

        for request in first:
            begin(request)
        at, end = time.monotonic(), time.monotonic() + seconds
        while (at := at + draw.expovariate(rate)) < end:
            await asyncio.sleep(max(0.0, at - time.monotonic()))
            request = next(requests)
            if client.under_way < _OPEN:
                begin(request)
            else:
                phase.held_back += 1
        while tasks:
            await asyncio.wait(set(tasks))
    return phase


async def drain(server: Server, client: Client, traffic: Traffic, count: int) -> dict[str, Any]:
    """SIGTERM while so many requests are under way, one of them with half a body: who is answered, who is refused."""
    requests = [traffic.one("text") for _ in range(count)] + [traffic.one("slow body")]
    sent = [asyncio.create_task(client.send(request)) for request in requests]
    # The request that asks is under way too.
    while (
        int(float((await client.get("/metrics")).split(b"\nkayan_requests_under_way ")[1].split()[0])) - 1
        < len(sent) - (answered := sum(task.done() for task in sent))
        and answered < len(sent) // 2
    ):
        await asyncio.sleep(0.01)
    server.process.send_signal(signal.SIGTERM)
    told, refused = time.monotonic(), 0
    while server.process.poll() is None and refused < 3:
        try:
            (await asyncio.open_connection(server.host, server.port))[1].close()
        except OSError:
            refused += 1
        await asyncio.sleep(0.05)
    outcomes = await asyncio.gather(*sent)
    code = await asyncio.to_thread(server.process.wait, 180)
    return {
        "requests": len(outcomes),
        "answered_before": answered,
        "statuses": dict(Counter(str(one.status) for one in outcomes)),
        "troubles": [one.trouble for one in outcomes if one.trouble],
        "refused": refused,
        "exit": code,
        "seconds": time.monotonic() - told,
    }


async def run(
    plan: Plan, texts: Sequence[str], out: Path, told: Callable[[str], None] = lambda line: None
) -> dict[str, Any]:
    """The whole scenario as data; `server.log` in the folder `out` keeps what the service said."""
    out.mkdir(parents=True, exist_ok=True)
    reference = Reference(plan, Traffic(texts, plan.seed), out) if plan.rounds else None
    server = Server(plan, out / "server.log")
    try:
        await server.ready()
        client, traffic = Client(server.host, server.port, plan.seed), Traffic(texts, plan.seed)
        good = traffic.requests(GOOD)
        warm = await saturate(server, client, good, plan.clients, plan.warm)
        told(f"warm: {warm.words_per_second():.0f} words a second")
        rounds, saturated = [], []
        for turn in range(plan.rounds):
            assert reference
            # The process in process has both cores to itself, as the service has.
            own = await asyncio.to_thread(reference.rate, plan.reference)
            saturated.append(await saturate(server, client, good, plan.clients, plan.saturated))
            through = saturated[-1].words_per_second()
            rounds.append({"reference": own, "service": through, "ratio": through / own})
            told(f"round {turn + 1} of {plan.rounds}: {through:.0f} words a second, {own:.0f} in process")
        if reference:
            reference.close()
        capacity = statistics.median(one["service"] for one in rounds) if rounds else warm.words_per_second()
        a_request = statistics.mean(next(good).words for _ in range(2000))
        share = sum(GOOD.values()) / (sum(GOOD.values()) + sum(ODD.values()))
        rate = plan.rated * capacity / a_request / share
        first = [traffic.one(kind) for kind in ODD]
        first += [Request(STALLED, "/v1/tag", "text/plain", b"12")] * plan.stalled
        rated = await arrive(server, client, first, traffic.requests(GOOD | ODD), rate, plan.rated_seconds)
        told(f"rated load: {len(rated.outcomes)} requests, {rated.words_per_second():.0f} words a second")
        volley = [traffic.one("json") for _ in range(min(_OPEN, 2 * plan.queue))]
        burst = await arrive(server, client, volley, good, plan.burst * capacity / a_request, plan.burst_seconds)
        told(f"burst: {burst.summary()['statuses']}")
        ended = await drain(server, client, traffic, plan.queue // 2)
        await client.close()
    finally:
        server.kill()
        if reference:
            reference.close()
    phases = {"saturated": saturated, "rated": [rated], "burst": [burst]}
    result: dict[str, Any] = {
        "plan": asdict(plan),
        "rounds": rounds,
        "requests_per_second": rate,
        "phases": {name: [phase.summary() for phase in own] for name, own in phases.items()},
        "memory": memory(rated),
        "drain": ended,
        "log": server.complaints()[:20],
        "troubles": [
            asdict(one) for phase in (warm, *saturated, rated, burst) for one in phase.outcomes if one.trouble
        ][:20],
        "unexpected": {
            "rated": Counter(f"{one.kind}: {one.status}" for one in rated.outcomes if not one.expected),
            "saturated": Counter(
                f"{o.kind}: {o.status}" for phase in saturated for o in phase.outcomes if not o.expected
            ),
            "burst": Counter(str(one.status) for one in burst.outcomes if one.status not in (200, 429)),
        },
    }
    return result | {"checks": checks(plan, result)}


def memory(phase: Phase) -> dict[str, Any]:
    """Of the service under the rated load: megabytes a minute by least squares over its last three quarters, the level, and
    a sample at most every thirtieth of the time."""
    kept = [(at, size) for at, size in phase.memory if at > phase.seconds / 4]
    if len(kept) < 3:
        return {}
    times, sizes = zip(*kept, strict=True)
    slope = statistics.linear_regression(times, sizes).slope * 60
    return {
        "megabytes": statistics.median(sizes),
        "most": max(sizes),
        "slope_megabytes_a_minute": slope,
        "growth": slope * (times[-1] - times[0]) / 60 / statistics.median(sizes),
        "samples": phase.memory[:: max(1, len(phase.memory) // 30)],
    }


def checks(plan: Plan, result: dict[str, Any]) -> dict[str, bool]:
    """What has to hold."""
    burst, ended = result["phases"]["burst"][0], result["drain"]
    found = {
        "no unexpected answer at the rated load": not result["unexpected"]["rated"],
        "no unexpected answer when saturated": not result["unexpected"]["saturated"],
        "only 200 and 429 with Retry-After in the burst": not result["unexpected"]["burst"],
        "the burst is above the capacity": "429" in burst["statuses"],
        "every answer quotes its text": not any(one["status"] == 200 for one in result["troubles"]),
        "nothing but information in the log": not result["log"],
        "what was accepted before SIGTERM is answered": set(ended["statuses"]) == {"200"} and not ended["troubles"],
        "SIGTERM comes before all is answered": ended["answered_before"] < ended["requests"],
        "new connections are refused, exit status 0": ended["refused"] > 0 and ended["exit"] == 0,
    }
    if result["memory"]:
        found[f"memory grows less than {plan.growth:.0%}"] = result["memory"]["growth"] < plan.growth
    if result["rounds"]:
        ratio = statistics.median(one["ratio"] for one in result["rounds"])
        found[f"{plan.ratio:.0%} of the words a second in process"] = ratio >= plan.ratio
    return found
