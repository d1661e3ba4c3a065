import gzip
import hashlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from kayan.archive import FORMATS, Settings, local, run
from kayan.cli import main
from kayan.document import Document, Span
from kayan.formats import FormatError, jsonl
from kayan.records import Columns

pa = pytest.importorskip("pyarrow")
from pyarrow import csv as arrow_csv  # noqa: E402
from pyarrow import parquet  # noqa: E402

NAMES = re.compile("الرباط|فاس|الأمم المتحدة|وزارة الصحة")
TEXTS = (
    "استقبل عمدة فاس وفدا من الأمم المتحدة.",
    "أعلنت وزارة الصحة بالرباط عن حملة جديدة.",
    "لا خبر اليوم.",
    "عاد الوفد من الرباط إلى فاس.",
)


def tag(documents: Sequence[Document]) -> list[Document]:
    """A quick tagger; it fails at one article."""
    for document in documents:
        if "المقال المسموم" in document.text:
            raise ValueError("no such article")
    return [d.with_spans(Span(m.start(), m.end(), "ORG", 0.5) for m in NAMES.finditer(d.text)) for d in documents]


def go(source: Path | str, target: Path, settings: Settings | None = None, **options: Any) -> dict[str, Any]:
    return run(str(source), target, local(tag), settings or Settings(shard=10), **options)


def tree(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def records(count: int) -> list[dict[str, Any]]:
    return [{"id": f"a{i}", "text": f"{TEXTS[i % 4]} {i}", "date": f"2025-{i % 12 + 1:02d}-03"} for i in range(count)]


def write_jsonl(path: Path, rows: Sequence[Any]) -> Path:
    lines = (row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows)
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return path


def mixed(folder: Path) -> Path:
    """Four files of different kinds with good and bad records."""
    folder.mkdir()
    rows = records(90)
    bad = ["{", json.dumps({"id": "no text"}), json.dumps({"id": "poison", "text": "المقال المسموم"})]
    write_jsonl(folder / "a.jsonl", [*rows[:19], bad[0], rows[19], bad[2], bad[1], *rows[20:30]])
    with gzip.open(folder / "b.csv.gz", "wt", encoding="utf-8", newline="") as file:
        file.write("id,text\n" + "".join(f'{row["id"]},"{row["text"]}\nسطر"\n' for row in rows[30:45]) + "x,y,z\n")
    (folder / "c").mkdir()
    table = pa.Table.from_pylist(rows[45:70])
    parquet.write_table(table, folder / "c" / "c.parquet", row_group_size=7)
    packed = pa.Codec("zstd").compress("".join(json.dumps(row) + "\n" for row in rows[70:]).encode(), asbytes=True)
    (folder / "d.jsonl.zst").write_bytes(packed)
    (folder / "e.txt").write_text(TEXTS[0] + "\n", encoding="utf-8")
    return folder


def rejected(target: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (target / "rejected.jsonl").read_text(encoding="utf-8").splitlines()]


def test_mentions_and_articles_are_tables_that_quote_the_text(tmp_path: Path) -> None:
    source = write_jsonl(tmp_path / "in.jsonl", records(25))
    manifest = go(source, tmp_path / "out", Settings(Columns(keep=("date",)), shard=10))
    articles = parquet.read_table(tmp_path / "out" / "articles").to_pylist()
    mentions = parquet.read_table(tmp_path / "out" / "mentions").to_pylist()
    assert [row["number"] for row in articles] == list(range(1, 26))
    assert [(row["id"], row["text"], row["date"]) for row in articles] == [
        (row["id"], row["text"], row["date"]) for row in records(25)
    ]
    assert articles[4] | {"text": ""} == {
        **{"number": 5, "id": "a4", "file": "in.jsonl", "line": 5, "date": "2025-05-03", "mentions": 2, "text": ""}
    }
    texts = {row["number"]: row["text"] for row in articles}
    assert len(mentions) == sum(row["mentions"] for row in articles) == manifest["mentions"] > 25
    for row in mentions:
        assert texts[row["number"]][row["start"] : row["end"]] == row["text"]
    assert mentions[0] | {"start": 0, "end": 0} == {
        **{"number": 1, "id": "a0", "start": 0, "end": 0, "label": "ORG"},
        **{"text": "فاس", "name": "فاس", "entity": "فاس", "score": 0.5},
    }


def test_jsonl_shards_are_read_by_the_format(tmp_path: Path) -> None:
    source = write_jsonl(tmp_path / "in.jsonl", records(12))
    go(source, tmp_path / "out", Settings(Columns(keep=("date",)), "jsonl", 10))
    parts = sorted((tmp_path / "out" / "articles").iterdir())
    documents = [document for part in parts for document in jsonl.read(part)]
    assert [path.name for path in parts] == ["part-00000.jsonl", "part-00001.jsonl"]
    assert [document.id for document in documents] == [row["id"] for row in records(12)]
    assert documents[11].meta == {"number": 12, "file": "in.jsonl", "line": 12, "date": "2025-12-03"}


def test_the_manifest_says_what_each_shard_holds(tmp_path: Path) -> None:
    manifest = go(mixed(tmp_path / "in"), tmp_path / "out")
    assert manifest == json.loads((tmp_path / "out" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["complete"]
    assert manifest["articles"] == sum(shard["articles"] for shard in manifest["shards"]) == 91
    assert manifest["shards"][0]["first"] == {"file": "a.jsonl", "line": 1}
    assert manifest["shards"][1]["last"] == {"file": "a.jsonl", "line": 21}
    assert [shard["rejected"] for shard in manifest["shards"]] == [0, 1, 2, 0, 1, 0, 0, 0, 0, 0]
    for shard in manifest["shards"]:
        for name, about in shard["files"].items():
            data = (tmp_path / "out" / name).read_bytes()
            assert about == {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def test_bad_records_are_listed_and_the_rest_is_tagged(tmp_path: Path) -> None:
    go(mixed(tmp_path / "in"), tmp_path / "out")
    listed = rejected(tmp_path / "out")
    assert [(item["file"], item["line"]) for item in listed] == [
        *[("a.jsonl", 20), ("a.jsonl", 22), ("a.jsonl", 23)],
        ("b.csv.gz", 32),
    ]
    reasons = [item["reason"] for item in listed]
    assert "broken JSON at column 2" in reasons[0]
    assert reasons[1:] == [
        "cannot be tagged: no such article",
        "has no 'text'; it has 'id'",
        "has 3 cells, the header 2",
    ]
    assert [item["start"] for item in listed] == ["{", "المقال المسموم", '{"id": "no text"}', "x,y,z\n"]
    ids = parquet.read_table(tmp_path / "out" / "articles")["id"].to_pylist()
    assert ids == [*(f"a{i}" for i in range(90)), "e.txt"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"text": 3}', "'text' must be a string, not 3"),
        (b'{"text": "a", "id": 1.5}', "'id' must be a string or a whole number, not 1.5"),
        (b'["text"]', "expected an object, found list"),
        (b'{"text": "\xd9"}', "is not UTF-8 at byte 10"),
        (b'{"text": "\\ud83d"}', "has half a character, '\\ud83d'"),
        (b'{"text": ' + b"[" * 100_000, "JSON nested deeper than 100 levels"),
        (b'{"text": "a", "meta": ' + b"[" * 150 + b"]" * 150 + b"}", "JSON nested deeper than 100 levels"),
        (b'{"text": "a", "id": ' + b"9" * 5000 + b"}", "a number in the JSON is too long"),
        (b'{"text": "a", "text": "b"}', "JSON with the key 'text' twice in one object"),
        (b'{"text": "' + b"a" * 17 * 2**20 + b'"}', "is longer than 16777216 bytes"),
    ],
)
def test_what_is_wrong_with_a_record_is_said(tmp_path: Path, line: bytes, reason: str) -> None:
    (tmp_path / "in.jsonl").write_bytes(line + b"\n" + b'{"text": "a"}')
    assert go(tmp_path / "in.jsonl", tmp_path / "out")["articles"] == 1
    assert [(item["line"], item["reason"][: len(reason)]) for item in rejected(tmp_path / "out")] == [(1, reason)]
    assert len(rejected(tmp_path / "out")[0]["start"]) <= 200
    with pytest.raises(FormatError, match=re.escape(f"in.jsonl:1: {reason}")):
        go(tmp_path / "in.jsonl", tmp_path / "strict", strict=True)
    assert not list((tmp_path / "strict" / "articles").iterdir())


def test_a_file_with_a_missing_end_is_read_to_where_it_breaks(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    noise = random.Random(0)
    lines = [json.dumps({"text": f"{TEXTS[0]} {noise.random()}"}) + "\n" for _ in range(9000)]
    data = "".join(lines).encode()
    (tmp_path / "in" / "a.jsonl.gz").write_bytes(gzip.compress(data)[:-5000])
    (tmp_path / "in" / "b.jsonl.zst").write_bytes(pa.Codec("zstd").compress(data, asbytes=True)[:-5000])
    (tmp_path / "in" / "c.jsonl").write_text(lines[0], encoding="utf-8")
    manifest = go(tmp_path / "in", tmp_path / "out", Settings(shard=5000))
    listed = rejected(tmp_path / "out")
    assert [item["file"] for item in listed] == ["a.jsonl.gz", "b.jsonl.zst"]
    assert all("the file cannot be read from here on" in item["reason"] for item in listed)
    assert manifest["articles"] == sum(item["line"] - 1 for item in listed) + 1 > 2


def test_a_broken_csv_record_does_not_take_the_next_ones_along(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text('id;text\n1;"a" b\n2;c\n3;"d\ne"\n4;f\n5;"open\n', encoding="utf-8-sig")
    go(tmp_path / "in.csv", tmp_path / "out")
    rows = parquet.read_table(tmp_path / "out" / "articles").to_pylist()
    assert [(row["id"], row["text"], row["line"]) for row in rows] == [("2", "c", 3), ("3", "d\ne", 4), ("4", "f", 6)]
    assert [(item["line"], item["start"]) for item in rejected(tmp_path / "out")] == [
        (2, '1;"a" b\n'),
        (7, '5;"open\n'),
    ]


def test_bytes_that_are_no_utf8_reject_only_their_row(tmp_path: Path) -> None:
    (tmp_path / "in.tsv").write_bytes(b"id\ttext\n1\t\xff" + "\n2\tفاس\n".encode())
    assert go(tmp_path / "in.tsv", tmp_path / "out")["articles"] == 1
    assert rejected(tmp_path / "out")[0]["reason"].startswith("is not UTF-8 at character 0")


def test_columns_have_other_names_and_ids_may_be_missing(tmp_path: Path) -> None:
    table = pa.table({"body": ["فاس", "الرباط", "فاس"], "key": [7, None, 9]})
    (tmp_path / "in").mkdir()
    arrow_csv.write_csv(table, tmp_path / "in" / "a.csv")
    parquet.write_table(table, tmp_path / "in" / "b.parquet")
    go(tmp_path / "in", tmp_path / "out", Settings(Columns("body", "key")))
    ids = parquet.read_table(tmp_path / "out" / "articles")["id"].to_pylist()
    assert ids == ["7", "a.csv:3", "9", "7", "b.parquet:2", "9"]
    go(tmp_path / "in", tmp_path / "ids", Settings(Columns("body")))
    assert parquet.read_table(tmp_path / "ids" / "articles")["id"].to_pylist()[3:] == [
        f"b.parquet:{i}" for i in (1, 2, 3)
    ]
    for columns, missing in (
        (Columns(), "text"),
        (Columns("body", "id"), "id"),
        (Columns("body", keep=("day",)), "day"),
    ):
        for name in ("a.csv", "b.parquet"):
            with pytest.raises(FormatError, match=f"{name}: has no column '{missing}'; its columns are 'body', 'key'"):
                go(tmp_path / "in" / name, tmp_path / f"{name}-{missing}", Settings(columns))


def test_a_wrong_key_does_not_reject_a_whole_archive(tmp_path: Path) -> None:
    source = write_jsonl(tmp_path / "in.jsonl", records(200))
    message = "none of the first 100 records is an article; of this one: has no 'body'; it has 'id', 'text', 'date'"
    with pytest.raises(FormatError, match=f"in.jsonl:100: {message}"):
        go(source, tmp_path / "out", Settings(Columns("body")))
    # Nothing was done, so the settings may be put right; a shard that does not count is swept away.
    (tmp_path / "out" / "mentions" / "part-00099.parquet").write_bytes(b"")
    assert go(source, tmp_path / "out")["articles"] == 200
    assert tree(tmp_path / "out") == (go(source, tmp_path / "fresh"), tree(tmp_path / "fresh"))[1]


def test_an_archive_is_read_by_url(tmp_path: Path) -> None:
    fsspec = pytest.importorskip("fsspec")
    storage = fsspec.filesystem("memory")
    source = mixed(tmp_path / "in")
    storage.put(str(source), "/kayan-archive", recursive=True)
    try:
        assert go("memory://kayan-archive", tmp_path / "remote")["articles"] == 91
        assert go("memory://kayan-archive/c/c.parquet", tmp_path / "one")["articles"] == 25
    finally:
        storage.rm("/kayan-archive", recursive=True)
    go(source, tmp_path / "local")
    remote, here = tree(tmp_path / "remote"), tree(tmp_path / "local")
    for name in ("manifest.json", "manifest.files.jsonl"):  # What marks a file differs between storages.
        del remote[name], here[name]
    assert remote == here


def test_an_error_of_the_storage_ends_the_run_and_is_not_held_against_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsspec = pytest.importorskip("fsspec")
    storage = fsspec.filesystem("memory")
    storage.pipe("/kayan-flaky/a.jsonl.zst", (mixed(tmp_path / "in") / "d.jsonl.zst").read_bytes())
    try:
        reads = 0

        def read(self: Any, *sizes: int) -> bytes:
            nonlocal reads
            reads += 1
            raise RuntimeError("connection reset")

        with monkeypatch.context() as patch:
            patch.setattr("fsspec.implementations.memory.MemoryFile.read", read)
            with pytest.raises(OSError, match="connection reset"):
                go("memory://kayan-flaky", tmp_path / "out")
        assert reads
        assert go("memory://kayan-flaky", tmp_path / "out")["articles"] == 20
    finally:
        storage.rm("/kayan-flaky", recursive=True)


def started(body: Callable[[], object]) -> int:
    """A process that does `body`; its number."""
    process = os.fork()
    if process == 0:
        try:
            body()
            os._exit(0)
        finally:
            os._exit(1)
    return process


fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


@fork
@pytest.mark.parametrize("form", FORMATS)
def test_killed_at_random_moments_it_ends_as_if_it_had_not_been(tmp_path: Path, form: str) -> None:
    source, settings = mixed(tmp_path / "in"), Settings(format=form, shard=10)
    began = time.monotonic()
    assert os.waitpid(started(lambda: go(source, tmp_path / "whole", settings)), 0)[1] == 0
    took, whole = time.monotonic() - began, tree(tmp_path / "whole")
    moments, shards = random.Random(form), set[int]()
    for attempt in range(25):
        target = tmp_path / f"out-{attempt}"
        process = started(lambda target=target: go(source, target, settings))  # type: ignore[misc]
        time.sleep(moments.uniform(0, took))
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        manifest = target / "manifest.json"
        shards.add(len(json.loads(manifest.read_text(encoding="utf-8"))["shards"]) if manifest.exists() else -1)
        go(source, target, settings)
        assert tree(target) == whole
    assert len(shards) > 1  # Not all of the moments lay before or after the run.


@fork
def test_killed_at_every_operation_on_a_file_it_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    source, settings = mixed(tmp_path / "in"), Settings(shard=30)
    go(source, tmp_path / "whole", settings)
    whole, kills = tree(tmp_path / "whole"), 0

    def until(operation: int, target: Path) -> None:
        seen = 0

        def hook(event: str, arguments: tuple[Any, ...]) -> None:
            nonlocal seen
            if event in (
                "open",
                "os.rename",
                "os.remove",
                "os.truncate",
                "os.mkdir",
                "tempfile.mkstemp",
                "fcntl.flock",
            ):
                seen += str(tmp_path / "out") in str(arguments) or event in ("os.truncate", "fcntl.flock")
                if seen == operation:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(hook)
        go(source, target, settings)

    # One folder is cut off again and again, each time an operation later, and another is cut off once.
    for operation in range(1, 1000):
        target = tmp_path / f"out-{operation}"
        for folder in (tmp_path / "out-again", target):
            process = started(lambda at=operation, folder=folder: until(at, folder))  # type: ignore[misc]
            status = os.waitpid(process, 0)[1]
        if not os.WIFSIGNALED(status):
            break
        kills += 1
        go(source, target, settings)
        assert tree(target) == whole
    assert status == 0
    assert tree(tmp_path / "out-again") == whole
    assert kills > 20


def test_a_complete_archive_is_left_as_it_is(tmp_path: Path) -> None:
    source = mixed(tmp_path / "in")
    first = go(source, tmp_path / "out")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")}
    assert go(source, tmp_path / "out") == first
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")} == before


def cut_off(source: Path, target: Path, after: int = 25) -> None:
    """Leave a run in the middle."""

    def stop(state: Any) -> None:
        if state.articles >= after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        go(source, target, progress=stop)


def test_what_was_rejected_at_the_end_of_a_shard_is_not_rejected_again(tmp_path: Path) -> None:
    rows = [*records(9), {"text": "المقال المسموم"}, *records(30)[9:]]
    source = write_jsonl(tmp_path / "in.jsonl", rows)
    cut_off(source, tmp_path / "out", 15)
    go(source, tmp_path / "out")
    go(source, tmp_path / "whole")
    assert [item["line"] for item in rejected(tmp_path / "out")] == [10]
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")


def test_other_settings_are_refused(tmp_path: Path) -> None:
    source = write_jsonl(tmp_path / "in.jsonl", records(30))
    cut_off(source, tmp_path / "out")
    before = tree(tmp_path / "out")
    for settings, message in (
        (Settings(shard=11), "shard was 10, now 11"),
        (Settings(Columns("id"), shard=10), "columns.text was 'text', now 'id'"),
        (Settings(shard=10, model={"threshold": 0.5}), "model.threshold was None, now 0.5"),
    ):
        with pytest.raises(ValueError, match=f"was made with other settings: {message}"):
            go(source, tmp_path / "out", settings)
    assert tree(tmp_path / "out") == before


def test_other_input_is_refused(tmp_path: Path) -> None:
    source = mixed(tmp_path / "in")
    cut_off(source, tmp_path / "out")
    original = (source / "a.jsonl").read_bytes()
    (source / "a.jsonl").write_bytes(original.replace(b"a12", b"b12"))
    with pytest.raises(ValueError, match=r"was made from other input: a.jsonl has changed"):
        go(source, tmp_path / "out")
    (source / "a.jsonl").write_bytes(original)
    (source / "f.txt").write_text("خبر", encoding="utf-8")
    with pytest.raises(ValueError, match=r"was made from other input: f.txt is new"):
        go(source, tmp_path / "out")
    (source / "f.txt").unlink()
    assert go(source, tmp_path / "out")["articles"] == 91


def test_output_that_was_tampered_with_is_refused(tmp_path: Path) -> None:
    source = mixed(tmp_path / "in")
    cut_off(source, tmp_path / "out", 45)
    log = (tmp_path / "out" / "rejected.jsonl").read_bytes()
    (tmp_path / "out" / "rejected.jsonl").write_bytes(log.replace(b"20", b"21", 1))
    with pytest.raises(ValueError, match=r"rejected.jsonl was changed"):
        go(source, tmp_path / "out")
    (tmp_path / "out" / "rejected.jsonl").write_bytes(log)
    (tmp_path / "out" / "mentions" / "part-00001.parquet").unlink()
    with pytest.raises(ValueError, match=r"part-00001.parquet is missing"):
        go(source, tmp_path / "out")


def test_a_folder_of_other_things_is_not_written_into(tmp_path: Path) -> None:
    source = write_jsonl(tmp_path / "in.jsonl", records(3))
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letter.txt").write_text("رسالة", encoding="utf-8")
    with pytest.raises(ValueError, match=r"holds 'letter.txt' and no manifest.json"):
        go(source, tmp_path / "home")
    assert list(tree(tmp_path / "home")) == ["letter.txt"]
    with pytest.raises(ValueError, match="would be read as input"):
        go(tmp_path / "home", tmp_path / "home" / "out")


def test_input_that_is_not_there_leaves_no_output(tmp_path: Path) -> None:
    (tmp_path / "a.docx").write_bytes(b"a")
    with pytest.raises(FormatError, match=r"accepted are the endings .jsonl, .ndjson, .csv"):
        go(tmp_path / "a.docx", tmp_path / "out")
    with pytest.raises(FormatError, match="is no file or folder"):
        go(tmp_path / "nothing", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_two_runs_do_not_share_a_folder(tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    source = write_jsonl(tmp_path / "in.jsonl", records(3))

    def again(state: Any) -> None:
        with pytest.raises(ValueError, match="is being written by another run"):
            go(source, tmp_path / "out")

    assert go(source, tmp_path / "out", progress=again)["articles"] == 3


def test_progress_says_the_rate_and_the_time_left(tmp_path: Path) -> None:
    source = write_jsonl(tmp_path / "in.jsonl", records(600))
    states: list[Any] = []
    go(source, tmp_path / "out", Settings(shard=100), progress=states.append)
    assert [state.articles for state in states] == sorted(state.articles for state in states)
    assert states[-1].articles == 600
    assert states[-1].share == 1
    said = str(type(states[0])(1200, 2, 600, 100.0, 0.5, 0.25))
    assert said == "1200 articles, 2 rejected, 50.0% read, 6.0 articles/s, 0 h 3 min left"


def test_little_is_read_ahead(tmp_path: Path) -> None:
    source = write_jsonl(tmp_path / "in.jsonl", records(2000))
    held = 0

    def watched(documents: Sequence[Document]) -> list[Document]:
        nonlocal held
        held = max(held, len(documents))
        return tag(documents)

    run(str(source), tmp_path / "out", local(watched), Settings(shard=1000))
    assert held == 64


def test_the_command_gives_what_the_tagger_gives_whatever_the_batch(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    from kayan import Tagger

    source = write_jsonl(tmp_path / "in.jsonl", [*records(20), "{"])
    shown = {}
    for batch in ("64", "8192"):
        call = ["archive", str(source), str(tmp_path / batch), "--shard", "15", "--keep", "date", "--batch", batch]
        result = CliRunner().invoke(main, [*call, "--runtime", "onnx", "--format", "jsonl"])
        assert result.exit_code == 0, result.output
        shown[batch] = result.output.replace(str(tmp_path / batch), "OUT")
    assert tree(tmp_path / "64") == tree(tmp_path / "8192")
    assert "OUT: 20 articles" in shown["64"]
    assert "in 2 shards; 1 records rejected, see rejected.jsonl" in shown["64"]
    tagger = Tagger.load(runtime="onnx")
    written = [d for part in sorted((tmp_path / "64" / "articles").iterdir()) for d in jsonl.read(part)]
    for document, row in zip(written, records(20), strict=True):
        expected = [(s.start, s.end, s.label, round(s.score or 0, 4)) for s in tagger(row["text"]).spans]
        assert [(s.start, s.end, s.label, s.score) for s in document.spans] == expected
    assert any(document.spans for document in written)
    refused = CliRunner().invoke(main, [*call, "--runtime", "onnx"])
    assert refused.exit_code == 2
    assert "format was 'jsonl', now 'parquet'" in refused.output


def test_the_library_is_not_imported_for_help() -> None:
    code = "import sys; from kayan.cli import main; main(['archive', '-h'], standalone_mode=False); print(sorted(sys.modules))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    for module in ("pyarrow", "fsspec", "numpy"):
        assert f"'{module}'" not in shown
