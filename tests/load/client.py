"""A cheap HTTP client on asyncio's streams, and the kinds of requests that it sends: good, wrong, slow and abandoned ones."""

from __future__ import annotations

import asyncio
import json
import random
import socket
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

# Kinds of requests, how many of a hundred they are, and the statuses that are right for them below capacity.
GOOD = {"text": 36, "json": 30, "long": 6, "batch": 12}
ODD = {"wrong": 8, "leaves": 4, "slow body": 2, "slow reader": 2}
# Once each: a client that never ends its body.
STALLED = "stalled body"
EXPECTED = {"wrong": range(400, 500), "leaves": (0,), STALLED: (408,)}
# Words of a long article, and articles of a batch, at most.
_LONG, _BATCH = 1500, 8
# Seconds after which an idle connection is not used again; the service closes it after five.
_IDLE = 2.0


@dataclass(frozen=True)
class Request:
    """kind: of `GOOD`, `ODD`, or `STALLED`. words: in the articles, by white space. texts: the articles."""

    kind: str
    target: str
    media: str
    body: bytes
    words: int = 0
    texts: tuple[str, ...] = ()
    method: str = "POST"

    def head(self, close: bool = False) -> bytes:
        lines = [f"{self.method} {self.target} HTTP/1.1", "Host: load", f"Content-Length: {len(self.body)}"]
        lines += [f"Content-Type: {self.media}"] * bool(self.media) + ["Connection: close"] * close
        return ("\r\n".join(lines) + "\r\n\r\n").encode()


@dataclass(frozen=True)
class Outcome:
    """started, seconds: on the monotonic clock, from the connection to the last byte. status: 0 for a client that left, -1
    where the connection broke. trouble: what is wrong with an answer, else empty."""

    kind: str
    status: int
    started: float
    seconds: float
    words: int
    trouble: str = ""

    @property
    def expected(self) -> bool:
        return self.status in EXPECTED.get(self.kind, (200,)) and not self.trouble


class Traffic:
    """Requests drawn from articles: the same ones for the same seed."""

    def __init__(self, texts: Sequence[str], seed: int):
        self.texts, self.random = texts, random.Random(seed)

    def requests(self, mix: dict[str, int]) -> Iterator[Request]:
        kinds, weights = list(mix), list(mix.values())
        while True:
            yield self.one(self.random.choices(kinds, weights)[0])

    def one(self, kind: str) -> Request:
        draw = self.random
        if kind == "wrong":
            return self._wrong()
        if kind == "batch":
            texts = tuple(draw.choice(self.texts) for _ in range(draw.randint(2, _BATCH)))
            body = {"articles": [{"id": i, "text": text} for i, text in enumerate(texts)]}
            return Request(kind, "/v1/batch", "application/json", _json(body), _words(texts), texts)
        text = self._long() if kind in ("long", "slow reader") else draw.choice(self.texts)
        words = len(text.split())
        if kind == "slow reader":
            # Every mention, and the text: more than the small buffers of this client hold.
            target = "/v1/tag?include_text=true&threshold=0"
            return Request(kind, target, "text/plain", text.encode(), words, (text,))
        if kind == "json" or (kind == "long" and draw.random() < 0.5):
            return Request(kind, "/v1/tag?offsets=utf16", "application/json", _json({"text": text}), words, (text,))
        return Request(kind, "/v1/tag", "text/plain; charset=utf-8", text.encode(), words, (text,))

    def _long(self) -> str:
        parts, words, wanted = [], 0, self.random.randint(_LONG // 3, _LONG)
        while words < wanted:
            parts.append(self.random.choice(self.texts))
            words += len(parts[-1].split())
        return "\n\n".join(parts)

    def _wrong(self) -> Request:
        text = self.random.choice(self.texts)
        whole, half = _json({"text": text}), _json({"text": text})[:-2]
        return self.random.choice(
            [
                Request("wrong", "/v1/tag", "application/json", half),
                Request("wrong", "/v1/tag", "application/json", _json({"txt": text})),
                Request("wrong", "/v1/tag?threshold=7", "application/json", whole),
                Request("wrong", "/v1/tag", "text/plain", text.encode("utf-16")),
                Request("wrong", "/v1/tag", "text/plain; charset=windows-1256", text.encode()),
                Request("wrong", "/v1/tag", "application/x-www-form-urlencoded", text.encode()),
                Request("wrong", "/v1/batch", "application/json", _json({"articles": [{"text": text}, {"text": 7}]})),
                Request("wrong", "/v1/nothing", "application/json", whole),
                Request("wrong", "/v1/tag", "", b"", method="GET"),
            ]
        )


class Client:
    """Sends requests to one address, over connections that it keeps. `sent` counts those begun, `under_way` those open."""

    def __init__(self, host: str, port: int, seed: int = 0):
        self.host, self.port, self.random = host, port, random.Random(seed)
        self.idle: deque[tuple[float, asyncio.StreamReader, asyncio.StreamWriter]] = deque()
        self.under_way = 0

    async def send(self, request: Request) -> Outcome:
        """What became of a request; never raises for what the service does."""
        started, status, trouble = time.monotonic(), -1, ""
        self.under_way += 1
        try:
            if request.kind in ("leaves", "slow body", "slow reader", STALLED):
                status, headers, body = await self._odd(request)
            else:
                status, headers, body = await self._plain(request)
            trouble = _trouble(request, status, headers, body, self.random.random() < 0.05)
        except (OSError, EOFError, ValueError) as error:
            trouble = f"{type(error).__name__}: {error}"
        finally:
            self.under_way -= 1
        return Outcome(request.kind, status, started, time.monotonic() - started, request.words, trouble)

    async def get(self, target: str) -> bytes:
        return (await self._plain(Request("get", target, "", b"", method="GET")))[2]

    async def close(self) -> None:
        while self.idle:
            self.idle.popleft()[2].close()

    async def _plain(self, request: Request) -> tuple[int, dict[str, str], bytes]:
        while self.idle and time.monotonic() - self.idle[0][0] > _IDLE:
            self.idle.popleft()[2].close()
        if self.idle:
            _, reader, writer = self.idle.pop()
        else:
            reader, writer = await asyncio.open_connection(self.host, self.port)
        try:
            writer.write(request.head() + request.body)
            status, headers, body = await _answer(reader)
        except BaseException:
            writer.close()
            raise
        if headers.get("connection") == "close":
            writer.close()
        else:
            self.idle.append((time.monotonic(), reader, writer))
        return status, headers, body

    async def _odd(self, request: Request) -> tuple[int, dict[str, str], bytes]:
        """A connection of its own, with small buffers."""
        own = socket.socket(socket.AF_INET6 if ":" in self.host else socket.AF_INET)
        own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        own.setblocking(False)
        await asyncio.get_running_loop().sock_connect(own, (self.host, self.port))
        reader, writer = await asyncio.open_connection(sock=own, limit=4096)
        try:
            writer.write(request.head(close=True))
            if request.kind == "leaves":
                # In the middle of the body, or while it waits.
                writer.write(request.body[: self.random.choice([len(request.body) // 2, len(request.body)])])
                await asyncio.sleep(self.random.uniform(0, 0.2))
                return 0, {}, b""
            if request.kind == STALLED:
                writer.write(request.body[:-1])
                return await _answer(reader)
            if request.kind == "slow body":
                for k in range(0, len(request.body), len(request.body) // 10 + 1):
                    writer.write(request.body[k : k + len(request.body) // 10 + 1])
                    await asyncio.sleep(0.2)
                return await _answer(reader)
            writer.write(request.body)
            return await _answer(reader, pause=0.05)
        finally:
            if request.kind == "leaves":
                writer.transport.abort()
            writer.close()


async def _answer(reader: asyncio.StreamReader, pause: float = 0) -> tuple[int, dict[str, str], bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
    left, parts = int(headers["content-length"]), []
    while left:
        if not (part := await reader.read(min(left, 4096 if pause else left))):
            raise EOFError("the answer was cut off")
        parts.append(part)
        left -= len(part)
        if pause:
            await asyncio.sleep(pause)
    return int(head[0].split()[1]), headers, b"".join(parts)


def _trouble(request: Request, status: int, headers: dict[str, str], body: bytes, look: bool) -> str:
    if status == 429 and not headers.get("retry-after", "").isdecimal():
        return "429 without Retry-After"
    if status != 200 or not look or not request.texts:
        return ""
    answer: Any = json.loads(body)
    answers = answer["articles"] if request.kind == "batch" else [answer]
    if len(answers) != len(request.texts):
        return f"{len(answers)} answers for {len(request.texts)} articles"
    unit, width = ("utf-16-le", 2) if "utf16" in request.target else ("utf-32-le", 4)
    for text, one in zip(request.texts, answers, strict=True):
        units = text.encode(unit)
        for span in one["spans"]:
            if units[span["start"] * width : span["end"] * width].decode(unit) != span["text"]:
                return f"{span} does not quote the text"
    return ""


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def _words(texts: Sequence[str]) -> int:
    return sum(len(text.split()) for text in texts)
