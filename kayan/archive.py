"""Tag archives of millions of articles into shards of Parquet or JSONL; killed at any moment, the same call goes on.

The folder that is written holds
- `mentions/part-00000.parquet`: a mention a row: `number` and `id` of its article, `start`, `end` (code points of the raw
  text), `label`, `text` as it stands there, `name` (canonical), `entity` (the fullest name of the same thing in the
  article), `score`;
- `articles/part-00000.parquet`: an article a row: `number` (from 1, over the whole archive), `id`, `file`, `line`, the
  columns that were kept, `mentions` (how many), `text`. With the format "jsonl" only this folder, an article with its
  spans a line as `kayan.formats.jsonl` reads it, the rest in its "meta";
- `rejected.jsonl`: the records that are no article: file, line, reason, start of the record;
- `manifest.json`: settings, and of each shard the range of the input, counts, sizes and SHA-256; `manifest.files.jsonl`: the
  files of the input.

A shard counts once the manifest names it, and the manifest is replaced when the shard is safely on disk; whatever was
written after that is written again. Each shard is tagged by itself, so it is the same wherever a run was cut off.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any, Protocol

from kayan.document import Document
from kayan.entities import canonical, group
from kayan.formats import FormatError, jsonl, replacing, replacing_bytes, sha256
from kayan.records import Article, Columns, Input, Reader, Rejected, arrow

FORMATS = ("parquet", "jsonl")
ARTICLES = ("number", "id", "file", "line", "mentions", "text")
MANIFEST, FILES, REJECTED = "manifest.json", "manifest.files.jsonl", "rejected.jsonl"
# Articles and characters that are tagged at once, and articles in a row group of Parquet: bounds of the memory.
_CHUNK, _CHARACTERS, _GROUP = 64, 500_000, 1000
# A run that begins with so many records of which none is an article has the wrong settings.
_HOPELESS = 100

Tag = Callable[[Sequence[Document]], Sequence[Document]]


@dataclass(frozen=True)
class Tagged:
    """An article with its spans, and of each span its canonical name and that of its entity."""

    article: Article
    document: Document
    names: tuple[str, ...]
    entities: tuple[str, ...]


class Engine(Protocol):
    """Tags chunks of records, in order; what is rejected already stays where it is. See `tag_chunk`."""

    def __call__(self, chunks: Iterable[list[Article | Rejected]]) -> Iterator[list[Tagged | Rejected]]: ...


@dataclass(frozen=True)
class Settings:
    """What decides the bytes that are written.

    shard: articles in a shard. model: whatever tells one tagger from another (`model_settings`).
    """

    columns: Columns = field(default_factory=Columns)
    format: str = "parquet"
    shard: int = 10_000
    model: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise ValueError(f"the format must be one of {', '.join(FORMATS)}, not {self.format!r}")
        if self.shard < 1:
            raise ValueError(f"a shard must hold at least one article, not {self.shard}")
        keep = self.columns.keep
        for name in keep:
            if name in ARTICLES or keep.count(name) > 1:
                raise ValueError(f"the column {name!r} cannot be kept: the table of articles has one of that name")

    def to_dict(self) -> dict[str, Any]:
        columns = asdict(self.columns) | {"keep": list(self.columns.keep)}
        settings = {"columns": columns, "format": self.format, "shard": self.shard, "model": dict(self.model)}
        # Another version writes other bytes for the same rows.
        return settings | ({"pyarrow": arrow().__version__} if self.format == "parquet" else {})


@dataclass(frozen=True)
class Progress:
    """articles, rejected: of the whole archive. tagged: articles of this run, which has taken `seconds`. share: of the
    input, from 0 to 1; started: that share when this run began."""

    articles: int
    rejected: int
    tagged: int
    seconds: float
    share: float
    started: float

    def __str__(self) -> str:
        rate = self.tagged / self.seconds if self.seconds else 0.0
        said = f"{self.articles} articles, {self.rejected} rejected, {self.share:.1%} read, {rate:.1f} articles/s"
        if self.share > self.started and self.share < 1:
            left = self.seconds * (1 - self.share) / (self.share - self.started)
            hours, minutes = divmod(int(left / 60), 60)
            said += f", {hours} h {minutes} min left" if left >= 60 else f", {left:.0f} s left"
        return said


def run(
    source: str,
    target: str | Path,
    engine: Engine,
    settings: Settings,
    *,
    strict: bool = False,
    progress: Callable[[Progress], None] = lambda state: None,
    note: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Tag the articles of `source`, a file, folder or fsspec URL (`kayan.records`), into the folder `target`; the manifest.

    Goes on where an earlier run was cut off, and does nothing where it was complete. strict: the first record that is no
    article ends the run. progress is called after every chunk, note with what the user should know.
    Raises `FormatError` for input that cannot be read, and with strict; `ValueError` for a target that another run is
    writing, that holds anything else, or was made with other settings or from other input.
    """
    folder = Path(target)
    _apart(source, folder)
    files = Input(source)
    if files.left_out:
        shown = ", ".join(files.left_out[:3]) + ("…" if len(files.left_out) > 3 else "")
        note(f"{len(files.left_out)} files of other kinds are left out: {shown}")
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder):
        manifest = _begin(folder, files, settings)
        shards = manifest["shards"]
        if shards and not manifest["complete"]:
            note(f"goes on after {manifest['articles']} articles in {len(shards)} shards")
        if not manifest["complete"]:
            last = shards[-1]["last"] if shards else None
            reader = Reader(files, settings.columns, (last["file"], last["line"]) if last else None)
            with _rejections(folder, manifest) as rejections:
                _Run(folder, settings, engine, strict, progress, files.bytes).shards(reader, manifest, rejections)
    return manifest


@dataclass(frozen=True)
class _Run:
    folder: Path
    settings: Settings
    engine: Engine
    strict: bool
    progress: Callable[[Progress], None]
    bytes: int

    def shards(self, reader: Reader, manifest: dict[str, Any], rejections: _Log) -> None:
        records, began, before = iter(reader), time.monotonic(), int(manifest["articles"])
        started: float | None = None
        while not manifest["complete"]:
            limit = _Limit(records, self.settings.shard)
            last: Article | Rejected | None = None
            with _Shard(self.folder, len(manifest["shards"]), manifest["articles"], self.settings) as shard:
                for chunk in self.engine(_chunks(limit)):
                    for item in chunk:
                        if isinstance(item, Tagged):
                            shard.add(item)
                            last = item.article
                        else:
                            self._reject(item, rejections, manifest["articles"] + shard.articles)
                            last = item
                    articles, seconds = manifest["articles"] + shard.articles, time.monotonic() - began
                    share = reader.bytes / self.bytes if self.bytes else 1.0
                    started = share if started is None else started
                    self.progress(Progress(articles, rejections.records, articles - before, seconds, share, started))
            rejections.sync()
            if shard.articles:
                rejected = rejections.records - manifest["rejected"]["records"]
                ends = {"first": _place(shard.first), "last": _place(last), "rejected": rejected}
                manifest["shards"].append(ends | shard.to_dict(self.folder))
                manifest["articles"] += shard.articles
                manifest["mentions"] += shard.mentions
            else:
                shard.remove()
            if shard.articles or limit.ended:
                manifest["complete"] = limit.ended
                manifest["rejected"] = rejections.to_dict()
                _save(self.folder, manifest)

    def _reject(self, item: Rejected, rejections: _Log, articles: int) -> None:
        where = f"{item.file}:{item.line}"
        if self.strict:
            raise FormatError(where, None, f"{item.reason}; the record begins {item.start!r}")
        rejections.add(item)
        if not articles and rejections.records >= _HOPELESS:
            first = f"none of the first {_HOPELESS} records is an article"
            raise FormatError(where, None, f"{first}; of this one: {item.reason}")


def _place(item: Article | Rejected | None) -> dict[str, Any]:
    assert item
    return {"file": item.file, "line": item.line}


def tag_chunk(tag: Tag, chunk: Sequence[Article | Rejected]) -> list[Tagged | Rejected]:
    """Tag the articles of a chunk together; where that fails for what an article holds, each by itself, so that only
    that one is rejected. Errors of the machine (OSError, RuntimeError, MemoryError) are not the article's fault."""
    articles = [item for item in chunk if isinstance(item, Article)]
    if not articles:
        return [item for item in chunk if isinstance(item, Rejected)]
    try:
        tagged = {id(article): document for article, document in zip(articles, _tag(tag, articles), strict=True)}
        return [item if isinstance(item, Rejected) else tagged[id(item)] for item in chunk]
    except (ValueError, TypeError, LookupError, ArithmeticError) as error:
        if len(chunk) > 1:
            return [one for item in chunk for one in tag_chunk(tag, [item])]
        article = articles[0]
        start = article.document.text[:200]
        return [Rejected(article.file, article.line, f"cannot be tagged: {error or type(error).__name__}", start)]


def _tag(tag: Tag, articles: Sequence[Article]) -> list[Tagged]:
    tagged = []
    for article, document in zip(articles, tag([article.document for article in articles]), strict=True):
        entities = {span: entity.name for entity in group(document) for span in entity.mentions}
        named = tuple(entities[span] for span in document.spans)
        tagged.append(Tagged(article, document, tuple(canonical(document)), named))
    return tagged


def local(tag: Tag) -> Engine:
    """The engine that tags in this process; a `Tagger` is a `Tag`."""
    return lambda chunks: (tag_chunk(tag, chunk) for chunk in chunks)


def model_settings(
    model: str | None, threshold: float, runtime: str = "auto", device: str = "auto", dtype: str = "float32"
) -> dict[str, Any]:
    """What decides a tagger's answers: kayan's version, threshold, runtime, dtype, and the SHA-256 of the checkpoint."""
    from kayan import __version__
    from kayan.checkpoint import inspect, resolve
    from kayan.runtime import ONNX_FILES, choose

    checkpoint = inspect(resolve(model))
    name, _ = choose(checkpoint, runtime, device, dtype)
    whole = hashlib.sha256()
    files = [*checkpoint.path.glob("*.safetensors"), *map(checkpoint.path.joinpath, _CHECKPOINT)]
    for path in sorted(files + ([checkpoint.path / ONNX_FILES[name]] if name in ONNX_FILES else [])):
        whole.update(f"{path.name}\0{sha256(path)}\n".encode())
    return {
        "kayan": __version__,
        "checkpoint": whole.hexdigest(),
        "threshold": threshold,
        "runtime": name,
        "dtype": dtype,
    }


_CHECKPOINT = ("config.json", "kayan.json", "tokenizer.json")


class _Limit:
    """The records up to the `count`th article; `ended` says that there are no more of them."""

    def __init__(self, records: Iterator[Article | Rejected], count: int):
        self.records, self.count, self.ended = records, count, False

    def __iter__(self) -> Iterator[Article | Rejected]:
        articles = 0
        for item in self.records:
            yield item
            articles += isinstance(item, Article)
            if articles == self.count:
                return
        self.ended = True


def _chunks(records: Iterable[Article | Rejected]) -> Iterator[list[Article | Rejected]]:
    chunk: list[Article | Rejected] = []
    size = 0
    for item in records:
        chunk.append(item)
        size += len(item.document.text) if isinstance(item, Article) else 0
        if len(chunk) == _CHUNK or size >= _CHARACTERS:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


class _Shard:
    """The files of a shard; they take their names when the block is left without an error."""

    def __init__(self, folder: Path, index: int, before: int, settings: Settings):
        self.settings, self.before = settings, before
        self.articles = self.mentions = 0
        self.first: Article | None = None
        names = ("mentions", "articles") if settings.format == "parquet" else ("articles",)
        self.paths = {name: folder / name / f"part-{index:05d}.{settings.format}" for name in names}
        self.stack = contextlib.ExitStack()

    def __enter__(self) -> _Shard:
        files = {name: self.stack.enter_context(_safe(path)) for name, path in self.paths.items()}
        if self.settings.format == "parquet":
            self.tables = {
                name: self.stack.enter_context(_Table(files[name], schema))
                for name, schema in _schemas(self.settings.columns).items()
            }
        else:
            self.file = files["articles"]
        return self

    def __exit__(self, *error: Any) -> None:
        self.stack.__exit__(*error)

    def add(self, tagged: Tagged) -> None:
        article, document = tagged.article, tagged.document
        self.first = self.first or article
        self.articles += 1
        self.mentions += len(document.spans)
        number = self.before + self.articles
        kept = dict(zip(self.settings.columns.keep, article.kept, strict=True))
        if self.settings.format == "jsonl":
            meta = {"number": number, "file": article.file, "line": article.line, **kept}
            record = jsonl.record(Document(document.text, document.spans, document.id, meta), text=True)
            self.file.write((json.dumps(record, ensure_ascii=False) + "\n").encode())
            return
        row = {"number": number, "id": document.id, "file": article.file, "line": article.line, **kept}
        self.tables["articles"].add(row | {"mentions": len(document.spans), "text": document.text})
        for span, name, entity in zip(document.spans, tagged.names, tagged.entities, strict=True):
            place = {"number": number, "id": document.id, "start": span.start, "end": span.end, "label": span.label}
            score = None if span.score is None else round(span.score, 4)
            self.tables["mentions"].add(place | {"text": span.text, "name": name, "entity": entity, "score": score})
        self.tables["articles"].flush(_GROUP)
        self.tables["mentions"].flush(20 * _GROUP)

    def remove(self) -> None:
        for path in self.paths.values():
            path.unlink()

    def to_dict(self, folder: Path) -> dict[str, Any]:
        return {
            "articles": self.articles,
            "mentions": self.mentions,
            "files": {
                path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": sha256(path)}
                for path in self.paths.values()
            },
        }


class _Table:
    """Rows to a Parquet file, in row groups."""

    def __init__(self, file: IO[bytes], schema: Any):
        from pyarrow import parquet

        self.schema, self.rows = schema, list[dict[str, Any]]()
        self.writer = parquet.ParquetWriter(file, schema, compression="zstd")

    def __enter__(self) -> _Table:
        return self

    def __exit__(self, kind: Any, *_: Any) -> None:
        if kind is None:
            self.flush(1)
        self.writer.close()

    def add(self, row: dict[str, Any]) -> None:
        self.rows.append(row)

    def flush(self, least: int) -> None:
        """Write the rows if there are `least` of them."""
        if len(self.rows) >= least:
            self.writer.write_table(arrow().Table.from_pylist(self.rows, self.schema))
            self.rows.clear()


def _schemas(columns: Columns) -> dict[str, Any]:
    pyarrow = arrow()
    string, number, place = pyarrow.string(), pyarrow.int64(), pyarrow.int32()
    names = [("text", string), ("name", string), ("entity", string), ("score", pyarrow.float64())]
    head = [("number", number), ("id", string)]
    mentions = [*head, ("start", place), ("end", place), ("label", string), *names]
    kept = [(name, string) for name in columns.keep]
    articles = [*head, ("file", string), ("line", number), *kept, ("mentions", place), ("text", string)]
    return {"mentions": pyarrow.schema(mentions), "articles": pyarrow.schema(articles)}


class _Log:
    """`rejected.jsonl`, appended to; what a run wrote after the last shard that counts is cut off when it is opened."""

    def __init__(self, path: Path, kept: Mapping[str, Any]):
        self.records, self.bytes, self.hash = int(kept["records"]), int(kept["bytes"]), hashlib.sha256()
        self.file = path.open("r+b" if path.exists() else "w+b")
        left = self.bytes
        while left and (data := self.file.read(min(left, 2**20))):
            self.hash.update(data)
            left -= len(data)
        if left or self.hash.hexdigest() != kept["sha256"]:
            self.file.close()
            raise ValueError(f"{path} was changed since it was written; {_START_OVER}")
        self.file.truncate(self.bytes)
        self.file.seek(self.bytes)

    def add(self, item: Rejected) -> None:
        line = (json.dumps(asdict(item), ensure_ascii=False) + "\n").encode()
        self.file.write(line)
        self.hash.update(line)
        self.records, self.bytes = self.records + 1, self.bytes + len(line)

    def sync(self) -> None:
        self.file.flush()
        os.fsync(self.file.fileno())

    def to_dict(self) -> dict[str, Any]:
        return {"records": self.records, "bytes": self.bytes, "sha256": self.hash.hexdigest()}


_START_OVER = "to start over, remove the folder or name another"


@contextlib.contextmanager
def _rejections(folder: Path, manifest: Mapping[str, Any]) -> Iterator[_Log]:
    log = _Log(folder / REJECTED, manifest["rejected"])
    with log.file:
        yield log


def _begin(folder: Path, files: Input, settings: Settings) -> dict[str, Any]:
    """The manifest in `folder`, once it is certain that this run may go on with it; else a new one."""
    wanted = settings.to_dict()
    listed = [json.dumps({"name": f.name, "bytes": f.size, "mark": f.mark}, ensure_ascii=False) for f in files.files]
    digest = hashlib.sha256("\n".join(listed).encode()).hexdigest()
    path = folder / MANIFEST
    manifest = _manifest(path)
    if not manifest:
        _sweep(folder, set())
        # A run that was killed at its very start leaves the list of files.
        if other := sorted(item.name for item in folder.iterdir() if item.name != FILES):
            raise ValueError(f"{folder} holds {other[0]!r} and no {MANIFEST}; name a new or empty folder")
    if not manifest or not (manifest["shards"] or manifest["complete"]):
        # Nothing is done yet, so nothing has to be the same.
        files.check(settings.columns)
        _sweep(folder, set())
        with replacing(folder / FILES) as file:
            file.writelines(line + "\n" for line in listed)
        manifest = {
            "settings": wanted,
            "input": {"files": len(listed), "bytes": files.bytes, "sha256": digest},
            "complete": False,
            "articles": 0,
            "mentions": 0,
            "rejected": {"records": 0, "bytes": 0, "sha256": hashlib.sha256().hexdigest()},
            "shards": [],
        }
        _save(folder, manifest)
        return manifest
    settled, shards = manifest["settings"], [shard["files"] for shard in manifest["shards"]]
    if settled != wanted:
        differ = "; ".join(_differences(settled, wanted))
        raise ValueError(f"{folder} was made with other settings: {differ}. Give the same, or {_START_OVER}")
    if manifest["input"]["sha256"] != digest:
        raise ValueError(f"{folder} was made from other input: {_other(folder / FILES, listed)}; {_START_OVER}")
    for shard in shards:
        for name, about in shard.items():
            size = (folder / name).stat().st_size if (folder / name).is_file() else None
            if size != about["bytes"]:
                found = "missing" if size is None else f"{size} bytes long, not {about['bytes']}"
                raise ValueError(f"{folder / name} is {found}; {_START_OVER}")
    _sweep(folder, {name for shard in shards for name in shard})
    return manifest


def _manifest(path: Path) -> dict[str, Any]:
    """What the file holds; nothing where there is none."""
    if not path.exists():
        return {}
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        # Whatever is needed to go on.
        for shard in manifest["shards"]:
            _ = shard["last"]["file"], shard["last"]["line"], {**shard["files"]}
        _ = {**manifest["settings"]}, manifest["input"]["sha256"], {**manifest["rejected"]}
        return {**manifest, "complete": manifest["complete"], "articles": int(manifest["articles"])}
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{path} is no manifest of kayan archive ({error}); name a new or empty folder") from None


def _differences(before: Any, now: Any, name: str = "") -> Iterator[str]:
    if isinstance(before, dict) and isinstance(now, dict):
        for key in sorted(before.keys() | now.keys()):
            yield from _differences(before.get(key), now.get(key), f"{name}.{key}".strip("."))
    elif before != now:
        yield f"{name} was {before!r}, now {now!r}"


def _other(path: Path, listed: Sequence[str]) -> str:
    """The first file that differs."""
    try:
        before = {entry["name"]: entry for entry in map(json.loads, path.read_text(encoding="utf-8").splitlines())}
    except (OSError, ValueError):
        return f"{path.name} is damaged"
    now = {entry["name"]: entry for entry in map(json.loads, listed)}
    for name in sorted(before.keys() | now.keys()):
        if before.get(name) != now.get(name):
            what = "is new" if name not in before else "is gone" if name not in now else "has changed"
            return f"{name} {what}"
    return f"{path.name} is damaged"


def _sweep(folder: Path, known: set[str]) -> None:
    """Remove what a killed run left: files half written, and shards that the manifest does not name."""
    for place in (folder, folder / "mentions", folder / "articles"):
        for path in place.glob(".*.part"):
            path.unlink()
        for path in place.glob("part-*"):
            if path.relative_to(folder).as_posix() not in known:
                path.unlink()


def _save(folder: Path, manifest: Mapping[str, Any]) -> None:
    with _safe(folder / MANIFEST) as file:
        file.write((json.dumps(manifest, ensure_ascii=False, indent=1) + "\n").encode())


@contextlib.contextmanager
def _safe(path: Path) -> Iterator[IO[bytes]]:
    """As `replacing_bytes`, and on disk before and after it takes its name, so that a power cut is no worse than a kill."""
    with replacing_bytes(path) as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
    if os.name == "posix":
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep a second run out of the folder, where the system has such locks; they end with the process."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(f"{folder} is being written by another run; wait, or name another folder") from None
        yield
    finally:
        os.close(handle)


def _apart(source: str, folder: Path) -> None:
    if "://" not in source and Path(source).is_dir() and folder.resolve().is_relative_to(Path(source).resolve()):
        raise ValueError(f"{folder} is inside {source}: it would be read as input; name a folder beside it")
