"""What the web service tells of itself: JSON log lines, Prometheus metrics, and the headers of every answer.

No text of an article gets into either, nor the message of an exception, which may quote one: where it was raised is told.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
import traceback
import uuid
from collections.abc import Iterable, MutableMapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import kayan
from kayan.terminal import to_json

if TYPE_CHECKING:
    from kayan.batching import Batch, Batcher

_METHODS = frozenset("GET HEAD POST PUT PATCH DELETE OPTIONS".split())
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
# The status that nginx logs for a client that left.
LEFT = 499
_HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)

_logger = logging.getLogger("kayan.server")


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (UTC), level, event, then the fields of `log`; of an exception its type and place."""

    def format(self, record: logging.LogRecord) -> str:
        # asyncio reports forgotten exceptions with their messages behind the first line or bracket.
        event = record.getMessage()
        if record.name == "asyncio":
            event = re.split(r"[\n(:]", event, maxsplit=1)[0]
        entry = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": event,
            **getattr(record, "fields", {}),
        }
        if record.exc_info and record.exc_info[1]:
            entry |= _placed(record.exc_info[1])
        return to_json(entry)


def _placed(error: BaseException) -> dict[str, Any]:
    frames = traceback.extract_tb(error.__traceback__)[-6:]
    return {"error": type(error).__name__, "at": [f"{f.filename}:{f.lineno} {f.name}" for f in frames]}


# For logging.config.dictConfig; uvicorn's own lines become JSON too, but for those of requests, which quote the query.
LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": JsonFormatter}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json", "stream": "ext://sys.stderr"}},
    "root": {"handlers": ["stderr"], "level": "WARNING"},
    "loggers": {
        "kayan": {"level": "INFO"},
        "uvicorn": {"level": "INFO"},
        "uvicorn.access": {"level": "CRITICAL", "propagate": False},
    },
}


def log(event: str, *, error: BaseException | None = None, **fields: Any) -> None:
    """A line of the log; `error` is told without its message."""
    level = logging.ERROR if error else logging.INFO
    _logger.log(level, event, extra={"fields": fields | (_placed(error) if error else {})})


def details(scope: MutableMapping[str, Any], **fields: Any) -> None:
    """More fields for the log line of the request in `scope`."""
    scope.setdefault("kayan.details", {}).update(fields)


class Metrics:
    """The metrics of one service, in a registry of its own."""

    def __init__(self, types: Iterable[str]):
        self.registry = own = CollectorRegistry()
        ProcessCollector(registry=own)
        self.requests = Counter("kayan_requests", "Requests answered.", ["route", "method", "code"], registry=own)
        self.seconds = Histogram(
            "kayan_request_seconds",
            "From the head of a request to its answer.",
            ["route"],
            buckets=_SECONDS,
            registry=own,
        )
        self.under_way = Gauge("kayan_requests_under_way", "Requests that are not answered yet.", registry=own)
        self.articles = Counter("kayan_articles", "Articles tagged.", registry=own)
        self.words = Counter("kayan_words", "Words in them.", registry=own)
        self.characters = Counter("kayan_characters", "Code points in them.", registry=own)
        self.mentions = Counter("kayan_mentions", "Mentions sent.", ["label"], registry=own)
        for label in types:
            self.mentions.labels(label)
        self.batches = Histogram(
            "kayan_batch_articles",
            "Articles that were tagged together.",
            buckets=(1, 2, 4, 8, 16, 32, 64),
            registry=own,
        )
        self.tagging = Histogram("kayan_batch_seconds", "Tagging of a batch.", buckets=_SECONDS, registry=own)
        self.waited = Histogram(
            "kayan_queue_seconds", "Wait of an article for its turn.", buckets=_SECONDS, registry=own
        )
        self.queue = Gauge("kayan_queue_articles", "Articles that wait.", registry=own)
        self.queue_limit = Gauge("kayan_queue_limit_articles", "Articles that may wait.", registry=own)
        self.ready = Gauge("kayan_ready", "1 once the model is loaded.", registry=own)
        Gauge("kayan_build", "The version that runs, as a label.", ["version"], registry=own).labels(
            kayan.__version__
        ).set(1)

    def watch(self, batcher: Batcher[Any, Any]) -> None:
        self.queue.set_function(lambda: batcher.waiting)
        self.queue_limit.set(batcher.max_queue)
        self.ready.set_function(lambda: batcher.ready)

    def batch(self, batch: Batch) -> None:
        self.batches.observe(len(batch.sizes))
        self.tagging.observe(batch.took)
        self.articles.inc(len(batch.sizes))
        self.characters.inc(sum(batch.sizes))
        for seconds in batch.waited:
            self.waited.observe(seconds)

    def tagged(self, words: int, labels: Iterable[str]) -> None:
        self.words.inc(words)
        for label in labels:
            self.mentions.labels(label).inc()

    def exposition(self) -> tuple[bytes, str]:
        """The metrics in Prometheus's text format, and its media type."""
        return generate_latest(self.registry), CONTENT_TYPE_LATEST


class Observed:
    """ASGI middleware: each request is counted, timed and logged, each answer gets its headers, and an exception becomes
    a 500 that tells the client nothing but the id of the request."""

    def __init__(self, app: ASGIApp, metrics: Metrics, routes: frozenset[str]):
        self.app, self.metrics, self.routes = app, metrics, routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = dict(scope["headers"]).get(b"x-request-id", b"").decode("latin-1")
        identity = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        started, status = time.monotonic(), 0
        self.metrics.under_way.inc()

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = dict(message["headers"])
                for name, value in (_HEADERS | {"x-request-id": identity}).items():
                    headers.setdefault(name.encode(), value.encode())
                message["headers"] = list(headers.items())
            await send(message)

        trouble: dict[str, Any] = {}
        try:
            await self.app(scope, receive, sending)
        except ClientDisconnect:
            status = LEFT
        except asyncio.CancelledError:
            status = status or 503
            raise
        except Exception as error:
            trouble = _placed(error)
            if not status:
                failure = {"code": "internal", "message": f"something went wrong here; request {identity}"}
                await JSONResponse({"error": failure}, 500)(scope, receive, sending)
        finally:
            seconds = time.monotonic() - started
            route = scope["path"] if scope["path"] in self.routes else "other"
            method = scope["method"] if scope["method"] in _METHODS else "OTHER"
            self.metrics.under_way.dec()
            self.metrics.requests.labels(route, method, str(status)).inc()
            self.metrics.seconds.labels(route).observe(seconds)
            quiet = route in ("/healthz", "/readyz", "/metrics") and status < 400
            _logger.log(
                logging.ERROR if trouble else logging.DEBUG if quiet else logging.INFO,
                "request",
                extra={
                    "fields": {
                        "id": identity,
                        "method": method,
                        "route": route,
                        "code": status,
                        "seconds": round(seconds, 4),
                        **scope.get("kayan.details", {}),
                        **trouble,
                    }
                },
            )
