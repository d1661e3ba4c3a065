"""The web service: articles over HTTP to a tagger, and the page at its root.

Offsets in answers are half-open, in Unicode code points of the text as it was sent, like everywhere in kayan; with
`?offsets=utf16` they count UTF-16 units, as JavaScript and Java do. Articles are kept nowhere and stand in no log.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import signal
import socket
import threading
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Future
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import uvicorn
from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Route
from uvicorn.protocols.http.h11_impl import H11Protocol

import kayan
from kayan import wire
from kayan.batching import Batcher, Busy
from kayan.checkpoint import Policy, inspect, resolve
from kayan.document import Document
from kayan.telemetry import LOGGING, Metrics, Observed, details, log
from kayan.wire import EXAMPLE, Article, Articles, Info, Refusal, Refused, Tagged, TaggedBatch, Task
from kayan.words import words

# Connections at once; more get a 503.
CONNECTIONS = 256
# Characters that are tagged together, about a full batch of the default Tagger; on slower machines as many as take these
# seconds: a batch is answered as a whole, and what comes meanwhile waits for it.
BATCH_CHARACTERS, BATCH_SECONDS = 32_768, 1.0

Tag = Callable[[list[Document]], Sequence[Document]]


@dataclass(frozen=True)
class Settings:
    """What can be set of the service; `ValueError` for what cannot be.

    threshold: of requests that name none; None takes the checkpoint's. max_characters: code points of one article;
    max_bytes: of a request's body, 8 a character of max_characters if None. max_queue: articles that may wait, also the
    most in one request. workers: threads, each with a tagger of its own. batch_wait_ms: how long an article waits for
    others to be tagged with. timeout: seconds from the last byte of a request to its answer.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    model: str | None = None
    threshold: float | None = None
    device: str = "auto"
    max_characters: int = 200_000
    max_bytes: int | None = None
    max_queue: int = 64
    workers: int = 1
    batch_wait_ms: float = 5.0
    timeout: float = 120.0

    def __post_init__(self) -> None:
        for name, least in (("max_characters", 1), ("max_bytes", 1), ("max_queue", 1), ("workers", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(f"{name} must be at least {least}, not {value}")
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise ValueError(f"threshold must be a probability between 0 and 1, not {self.threshold}")
        if not 0 <= self.batch_wait_ms <= 1000:
            raise ValueError(f"batch_wait_ms must be between 0 and 1000, not {self.batch_wait_ms}")
        if not 0 < self.timeout < float("inf"):
            raise ValueError(f"timeout must be a number of seconds over 0, not {self.timeout}")
        if not 0 <= self.port <= 65535:
            raise ValueError(f"port must be between 0, which takes a free one, and 65535, not {self.port}")

    @property
    def body_limit(self) -> int:
        return 8 * self.max_characters if self.max_bytes is None else self.max_bytes


_Threshold = Annotated[float | None, Query(ge=0, le=1, description="Leave out mentions that score less; 0 keeps all.")]
_Offsets = Annotated[Literal["codepoints", "utf16"], Query(description="The unit of start and end.")]
_IncludeText = Annotated[bool, Query(description="Give the text back too.")]


def create_app(policy: Policy, load: Callable[[], Tag], settings: Settings, name: str = "starter") -> FastAPI:
    """The service as an ASGI application; `app.state.batcher` is its queue.

    policy: of the checkpoint, for types and threshold. load: gives, in each worker thread, what tags a list of documents
    with every mention whatever it scores. name: the model's, for people.
    """
    standard = policy.threshold if settings.threshold is None else settings.threshold
    types = policy.schema.types
    metrics = Metrics(types)

    def prepared() -> Callable[[list[Task]], list[dict[str, Any]]]:
        tag = load()

        def work(tasks: list[Task]) -> list[dict[str, Any]]:
            found = tag([Document(task.text) for task in tasks])
            answers = [wire.answer(task, document) for task, document in zip(tasks, found, strict=True)]
            for task, item in zip(tasks, answers, strict=True):
                metrics.tagged(len(words(task.text)), [span["label"] for span in item["spans"]])
            return answers

        return work

    batcher: Batcher[Task, dict[str, Any]] = Batcher(
        prepared,
        lambda task: len(task.text),
        workers=settings.workers,
        max_queue=settings.max_queue,
        max_size=BATCH_CHARACTERS,
        wait=settings.batch_wait_ms / 1000,
        seconds=min(BATCH_SECONDS, settings.timeout / 4),
        patience=0.8 * settings.timeout,  # the pace is an estimate
        told=metrics.batch,
        failed=lambda: app.state.stop(),
    )
    metrics.watch(batcher)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        batcher.start()
        yield
        await asyncio.to_thread(batcher.close, settings.timeout)

    app = FastAPI(
        title="kayan",
        version=kayan.__version__,
        description=__doc__,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.batcher, app.state.stop = batcher, lambda: None
    html, html_policy = page()

    async def answers(request: Request, tasks: list[Task]) -> list[dict[str, Any] | BaseException]:
        """The answer, or the exception, of each article; `Refusal` where the queue, the clock or the client says no."""
        if not batcher.ready:
            raise Refusal(503, "not_ready", "the model is not loaded yet", {"retry-after": "2"})
        try:
            futures = batcher.submit(tasks)
        except Busy as busy:
            raise Refusal(
                429,
                "queue_full",
                f"{batcher.waiting} articles wait, {settings.max_queue} may, for an answer within {settings.timeout:g} s; "
                f"try again in {busy.retry_after} s",
                {"retry-after": str(busy.retry_after)},
            ) from None
        return await _awaited(request, batcher, futures, settings.timeout)

    def task(article: Article, number: int, where: str, default: float, offsets: str, include_text: bool) -> Task:
        if (at := article.text.find("\0")) >= 0:
            raise Refusal(422, "nul_character", f"{where}text has U+0000 at character {at}; remove it")
        if (size := len(article.text)) > settings.max_characters:
            raise Refusal(
                413,
                "article_too_long",
                f"{where}text has {size} characters, {settings.max_characters} are accepted; divide the article",
            )
        return Task(
            id=str(number) if article.id is None else str(article.id),
            text=article.text,
            threshold=default if article.threshold is None else article.threshold,
            utf16=offsets == "utf16",
            include_text=include_text,
        )

    @app.get("/", include_in_schema=False)
    async def root() -> Response:
        return Response(html, media_type="text/html", headers={"content-security-policy": html_policy})

    @app.post(
        "/v1/tag",
        responses=wire.responses(Tagged),
        openapi_extra=wire.accepts(Article, plain=True),
        summary="Tag an article, sent as text or as JSON.",
    )
    async def tag(
        request: Request,
        id: Annotated[str | None, Query(description="The id of an article sent as text.")] = None,
        threshold: _Threshold = None,
        offsets: _Offsets = "codepoints",
        include_text: _IncludeText = False,
    ) -> JSONResponse:
        kind = wire.media_type(request, "text/plain", "application/json")
        text = wire.decoded(await wire.read_body(request, settings.body_limit))
        article = Article(text=text, id=id, threshold=None) if kind == "text/plain" else wire.parsed(Article, text)
        default = standard if threshold is None else threshold
        one = task(article, 1, "", default, offsets, include_text)
        details(request.scope, articles=1, characters=len(one.text))
        [result] = await answers(request, [one])
        if isinstance(result, BaseException):
            log("tagging failed", error=result)
            raise Refusal(500, "tagging_failed", "this article could not be tagged")
        return JSONResponse(result)

    @app.post(
        "/v1/batch",
        responses=wire.responses(TaggedBatch),
        openapi_extra=wire.accepts(Articles, plain=False),
        summary="Tag several articles; each gets its own answer or error.",
    )
    async def batch(
        request: Request,
        threshold: _Threshold = None,
        offsets: _Offsets = "codepoints",
        include_text: _IncludeText = False,
    ) -> JSONResponse:
        wire.media_type(request, "application/json")
        sent = wire.parsed(Articles, wire.decoded(await wire.read_body(request, settings.body_limit)))
        if len(sent.articles) > settings.max_queue:
            count = len(sent.articles)
            raise Refusal(413, "too_many_articles", f"{count} articles, {settings.max_queue} are accepted at once")
        default = next((value for value in (sent.threshold, threshold) if value is not None), standard)
        tasks = [
            task(article, i + 1, f"articles.{i}: ", default, offsets, include_text)
            for i, article in enumerate(sent.articles)
        ]
        details(request.scope, articles=len(tasks), characters=sum(len(one.text) for one in tasks))
        results = []
        for one, result in zip(tasks, await answers(request, tasks) if tasks else [], strict=True):
            if isinstance(result, BaseException):
                log("tagging failed", error=result)
                failure = {"code": "tagging_failed", "message": "this article could not be tagged"}
                results.append({"id": one.id, "error": failure})
            else:
                results.append(result)
        return JSONResponse({"articles": results})

    @app.get("/v1/model", response_model=Info, summary="What serves: model, types, limits.")
    async def model() -> JSONResponse:
        return JSONResponse(
            {
                "version": kayan.__version__,
                "model": name,
                "ready": batcher.ready,
                "types": list(types),
                "threshold": standard,
                "max_characters": settings.max_characters,
                "max_bytes": settings.body_limit,
                "max_articles": settings.max_queue,
            }
        )

    @app.get("/healthz", summary="Whether the process lives.")
    async def healthz() -> dict[str, str]:
        return {"status": "alive"}

    @app.get("/readyz", summary="Whether the model is loaded; 503 until then.", responses={503: {"model": Refused}})
    async def readyz() -> dict[str, str]:
        if not batcher.ready:
            raise Refusal(503, "not_ready", "the model is not loaded yet", {"retry-after": "2"})
        return {"status": "ready"}

    @app.get("/metrics", summary="Metrics for Prometheus.", response_class=Response)
    async def exposition() -> Response:
        body, kind = metrics.exposition()
        return Response(body, headers={"content-type": kind})

    @app.exception_handler(Refusal)
    async def refused(request: Request, refusal: Refusal) -> JSONResponse:
        return refusal.response()

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        return Refusal(422, "invalid_parameter", wire.listed(error.errors())).response()

    @app.exception_handler(HTTPException)
    async def otherwise(request: Request, error: HTTPException) -> JSONResponse:
        messages = {404: "there is nothing here; see /openapi.json", 405: "this method is not accepted here"}
        message = messages.get(error.status_code, str(error.detail))
        headers = dict(error.headers) if error.headers else None
        return Refusal(error.status_code, f"http_{error.status_code}", message, headers).response()

    routes = frozenset(route.path for route in app.routes if isinstance(route, Route))
    app.add_middleware(Observed, metrics=metrics, routes=routes)
    return app


def page() -> tuple[str, str]:
    """The page as one file, and the content security policy that lets its own style and script run and nothing else."""
    folder = Path(__file__).parent / "templates"
    html, style, edit, script, *languages = (
        (folder / f"serve.{ending}").read_text(encoding="utf-8").strip()
        for ending in ("html", "css", "edit.js", "js", "ar.json", "en.json")
    )
    words = ", ".join(f'"{json.loads(one)["language"]}": {one}' for one in languages)
    script = f"{edit}\n{script}".replace('"texts": "here"', words)
    style_hash, script_hash = (b64encode(hashlib.sha256(part.encode()).digest()).decode() for part in (style, script))
    policy = (
        f"default-src 'none'; style-src 'sha256-{style_hash}'; script-src 'sha256-{script_hash}'; connect-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return html.replace("/* style */", style).replace("/* script */", script), policy


async def _awaited(
    request: Request, batcher: Batcher[Any, dict[str, Any]], futures: list[Future[dict[str, Any]]], timeout: float
) -> list[dict[str, Any] | BaseException]:
    """The results of the futures; `Refusal` after the timeout, `ClientDisconnect` when nobody waits for them any more.
    Either way nothing of them is left in the queue."""

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    results = asyncio.gather(*map(asyncio.wrap_future, futures), return_exceptions=True)
    # Looked at once more when it is cancelled, or asyncio reports that nobody did.
    results.add_done_callback(lambda done: done.cancelled() or done.exception())
    watch = asyncio.create_task(gone())
    either: set[asyncio.Future[Any]] = {results, watch}
    try:
        done, _ = await asyncio.wait(either, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        if results in done:
            return results.result()
        if watch in done:
            raise ClientDisconnect
        if any(future.running() or future.done() for future in futures):
            raise Refusal(504, "timeout", f"tagging took longer than {timeout:g} s; send less text at once")
        wait = batcher.delay()
        raise Refusal(
            503, "no_turn", f"no turn came within {timeout:g} s; try again in {wait} s", {"retry-after": str(wait)}
        )
    finally:
        watch.cancel()
        results.cancel()
        batcher.cancel(futures)


class Connection(H11Protocol):
    """A connection that is closed when its client takes too long to send a request's head or to read an answer."""

    _head: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._expect()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.transport.get_write_buffer_size():
            self.loop.call_later(wire.PATIENCE, self._unread)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._head:
            self._head.cancel()

    def _expect(self) -> None:
        """Run the clock while bytes have come, or a connection, but no whole head."""
        if self.cycle and not self.cycle.response_complete:
            if self._head:
                self._head.cancel()
            self._head = None
        elif self._head is None:
            self._head = self.loop.call_later(wire.PATIENCE, self.transport.abort)

    def _unread(self) -> None:
        if self.transport.is_closing():
            self.transport.abort()


def serve(settings: Settings) -> None:
    """Load the checkpoint and serve until SIGTERM or SIGINT, which end it once the requests under way are answered.

    Raises `CheckpointError` for a checkpoint that cannot be used, `ImportError` naming the extra without a runtime,
    `OSError` when the address cannot be had.
    """
    from kayan.tagger import Tagger

    checkpoint = inspect(resolve(settings.model))

    def load() -> Tag:
        tagger = Tagger.load(checkpoint.path, threshold=0, device=settings.device)
        tagger(EXAMPLE)  # the first run is slow
        return tagger

    run(create_app(checkpoint.policy, load, settings, checkpoint.path.resolve().name), settings)


def run(app: FastAPI, settings: Settings) -> None:
    """Serve `app` of `create_app` until a signal, in the main thread, or `app.state.stop()`; see `serve`.

    `app.state.url` is where it listens.
    """
    listener = _bound(settings.host, settings.port)
    config = uvicorn.Config(
        app,
        http=Connection,
        ws="none",
        lifespan="on",
        log_config=LOGGING,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=CONNECTIONS,
        timeout_keep_alive=5,  # below PATIENCE: an answer is given up only on a connection that is to close
        timeout_graceful_shutdown=int(settings.timeout) + 5,
    )
    server = uvicorn.Server(config)

    def stop() -> None:
        server.should_exit = True

    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    app.state.stop, app.state.url = stop, f"http://{host}:{listener.getsockname()[1]}"
    # uvicorn raises the signal that stopped it once more when it is done; a stop that was asked for is no failure.
    before: dict[signal.Signals, Any] = {}
    if threading.current_thread() is threading.main_thread():
        before = {number: signal.signal(number, lambda *_: stop()) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        log("listening", url=app.state.url)
        server.run(sockets=[listener])
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        listener.close()
    if app.state.batcher.failure:
        raise app.state.batcher.failure


def _bound(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise OSError(f"{host}:{port} cannot be listened on: {error.strerror or error}") from None
