"""What the web service reads and writes: its JSON, the checks of a body, and the answer to one that is refused."""

from __future__ import annotations

import asyncio
import json
import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from fastapi import Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from kayan.document import Document

# Seconds in which the body of a request must have come.
PATIENCE = 30.0
EXAMPLE = "استقبل عمدة فاس، الثلاثاء 11 نونبر 2025، وفدا من منظمة الصحة العالمية."
_HALF = re.compile(r"\\u[dD][89abAB]..(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB]..)\\u[dD][c-fC-F]")
_Model = TypeVar("_Model", bound=BaseModel)


class Article(BaseModel):
    """An article to tag."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"id": "n1", "text": EXAMPLE}]})
    text: str
    id: str | int | None = Field(None, description='Given back; its place in the request, from "1", if there is none.')
    threshold: float | None = Field(None, ge=0, le=1, description="Leave out mentions that score less; 0 keeps all.")


class Articles(BaseModel):
    """Articles to tag, at most as many as the queue holds."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"articles": [{"id": "n1", "text": EXAMPLE}, {"text": "وصل إلى طنجة."}]}]},
    )
    articles: list[Article]
    threshold: float | None = Field(None, ge=0, le=1, description="For the articles that have none.")


class Mention(BaseModel):
    """A mention: text[start:end] in code points (or UTF-16 units, if they were asked for)."""

    start: int
    end: int
    label: str
    score: float = Field(description="Calibrated probability that it is right.")
    text: str
    name: str = Field(description="Canonical form: «للأمم المتحدة» → «الأمم المتحدة».")


class Failure(BaseModel):
    """Why there is no answer: a code for programs, a message for people."""

    code: str
    message: str


class Refused(BaseModel):
    """The body of every answer that is not 2xx."""

    error: Failure


class Tagged(BaseModel):
    """A tagged article; the text only if it was asked for."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "n1",
                    "spans": [{"start": 12, "end": 15, "label": "LOC", "score": 0.97, "text": "فاس", "name": "فاس"}],
                }
            ]
        }
    )
    id: str
    text: str | None = None
    spans: list[Mention]


class BatchItem(BaseModel):
    """A tagged article, or the error of one that could not be tagged; the others are answered all the same."""

    id: str
    text: str | None = None
    spans: list[Mention] | None = None
    error: Failure | None = None


class TaggedBatch(BaseModel):
    """Answers in the order of the request."""

    articles: list[BatchItem]


class Info(BaseModel):
    """What serves, and its limits."""

    version: str
    model: str
    ready: bool
    types: list[str]
    threshold: float
    max_characters: int
    max_bytes: int
    max_articles: int


class Refusal(Exception):
    """An answer that is no success: status, code for programs, message for people."""

    def __init__(self, status: int, code: str, message: str, headers: dict[str, str] | None = None):
        super().__init__(message)
        self.status, self.code, self.message, self.headers = status, code, message, headers

    def response(self) -> JSONResponse:
        body = {"error": {"code": self.code, "message": self.message}}
        return JSONResponse(body, self.status, self.headers)


@dataclass(frozen=True)
class Task:
    """An article on its way through the queue, checked."""

    id: str
    text: str
    threshold: float
    utf16: bool
    include_text: bool


def answer(task: Task, document: Document) -> dict[str, Any]:
    """The tagged article as it is sent: mentions under the threshold left out, offsets in the unit asked for."""
    wide = [i for i, char in enumerate(task.text) if char > "\uffff"] if task.utf16 else []
    spans = [
        {
            "start": span.start + bisect_left(wide, span.start),
            "end": span.end + bisect_left(wide, span.end),
            "label": span.label,
            "score": None if span.score is None else round(span.score, 4),
            "text": span.text,
            "name": span.name,
        }
        for span in document.spans
        if span.score is None or span.score >= task.threshold
    ]
    return {"id": task.id, **({"text": task.text} if task.include_text else {}), "spans": spans}


_STATUSES = {
    400: "The body is not UTF-8 or no JSON.",
    408: "The body came too slowly.",
    413: "More bytes, articles or characters than are accepted; the message says how many are.",
    415: "The body is neither text/plain nor application/json in UTF-8.",
    422: "A field is wrong; the message names it.",
    429: "The queue is full, or no answer can come before the timeout; Retry-After says when to come back.",
    500: "The article could not be tagged.",
    503: "Not ready yet, or no time came to start before the timeout; see Retry-After.",
    504: "Tagging took longer than the timeout.",
}


def responses(model: type[BaseModel]) -> dict[int | str, dict[str, Any]]:
    """What an endpoint answers, for the OpenAPI schema."""
    answers: dict[int | str, dict[str, Any]] = {200: {"model": model, "description": "Tagged."}}
    for status, text in _STATUSES.items():
        answers[status] = {"model": Refused, "description": text}
    return answers


def accepts(model: type[BaseModel], plain: bool) -> dict[str, Any]:
    """What an endpoint reads, for the OpenAPI schema; with `plain` also an article as text."""
    # Written out in place: FastAPI lists only models that it parses itself.
    schema = model.model_json_schema()
    parts = schema.pop("$defs", {})
    text = json.dumps(schema)
    for name, part in parts.items():
        text = text.replace(json.dumps({"$ref": f"#/$defs/{name}"}), json.dumps(part))
    content: dict[str, Any] = {"application/json": {"schema": json.loads(text)}}
    if plain:
        content["text/plain"] = {"schema": {"type": "string"}, "example": EXAMPLE}
    return {"requestBody": {"required": True, "content": content}}


def media_type(request: Request, *accepted: str) -> str:
    """The media type of the body, one of those accepted, in UTF-8 and not compressed."""
    kind, *parameters = (part.strip() for part in request.headers.get("content-type", "").lower().split(";"))
    charset = next((p.partition("=")[2].strip('" ') for p in parameters if p.startswith("charset=")), "utf-8")
    encoding = request.headers.get("content-encoding", "identity").lower()
    if kind not in accepted or charset not in ("utf-8", "utf8", "us-ascii") or encoding != "identity":
        found = f"{kind[:60] or 'of no content type'}, {charset[:20]}, {encoding[:20]}"
        raise Refusal(
            415,
            "unsupported_media_type",
            f"the body is said to be {found}; "
            f"send {' or '.join(accepted)} in UTF-8, as in -H 'Content-Type: {accepted[0]}'",
        )
    return kind


async def read_body(request: Request, most: int) -> bytes:
    """The body, `Refusal` once it is known to be larger than `most` bytes, or when it comes too slowly."""
    too_large = Refusal(413, "body_too_large", f"the body has more than {most} bytes")
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > most:
        raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(PATIENCE):
            async for chunk in request.stream():
                body += chunk
                if len(body) > most:
                    raise too_large
    except TimeoutError:
        raise Refusal(
            408, "body_too_slow", f"the body did not come within {PATIENCE:g} s", {"connection": "close"}
        ) from None
    return bytes(body)


def decoded(body: bytes) -> str:
    """The body as text, without a byte order mark."""
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Refusal(
            400, "not_utf8", f"the body is not UTF-8 at byte {error.start} (0x{body[error.start]:02x}); convert it"
        ) from None


def parsed(model: type[_Model], text: str) -> _Model:
    """The JSON as the model, `Refusal` naming what is wrong with it."""
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        errors = error.errors(include_url=False, include_input=False)
        if errors[0]["type"] == "json_invalid":
            hint = "; one half of a surrogate pair is no character" if _HALF.search(text) else ""
            raise Refusal(400, "invalid_json", errors[0]["msg"] + hint) from None
        unknown = next((one["loc"] for one in errors if one["type"] == "extra_forbidden"), None)
        fields = (Article if unknown and len(unknown) > 1 else model).model_fields
        hint = f"; accepted are {', '.join(fields)}" if unknown else ""
        raise Refusal(422, "invalid_field", listed(errors) + hint) from None


def listed(errors: Sequence[Any]) -> str:
    """The first few errors of pydantic as one line, each with the field that it is about."""
    told = [
        f"{'.'.join(map(str, error['loc'])) or 'the body'}: {error['msg'][:1].lower()}{error['msg'][1:]}"
        for error in errors
    ]
    return "; ".join(told[:3]) + (f"; and {len(told) - 3} more" if len(told) > 3 else "")
