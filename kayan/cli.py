"""The `kayan` command: thin verbs over plain functions; nothing heavy is imported before a verb runs."""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kayan.terminal import Commands, echo, isolated, line, painted, to_json, visible

if TYPE_CHECKING:
    from kayan.document import Document


class _Commands(Commands):
    also = (TypeError,)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="kayan")
def main() -> None:
    """Named entities in Arabic news."""


_MODEL = click.option(
    "--model", help="Checkpoint folder or hub id, ORG/NAME or ORG/NAME@REVISION; the embedded starter if not given."
)
_DEVICE = click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, mps.")
_DTYPE = click.option("--dtype", default="float32", show_default=True)
_RUNTIME = click.option(
    "--runtime",
    type=click.Choice(["auto", "torch", "onnx", "onnx-int8"]),
    default="auto",
    show_default=True,
    help="What computes; `kayan doctor` says what auto takes.",
)


@main.command()
@click.argument("files", nargs=-1, type=click.Path())
@click.option(
    "--format", "form", type=click.Choice(["text", "jsonl", "conll", "entities"]), default="text", show_default=True
)
@_MODEL
@click.option(
    "--threshold",
    type=float,
    help="Leave out mentions that score less; by default what the checkpoint says, 0 keeps all.",
)
@_DEVICE
@_RUNTIME
@click.option("--colour/--no-colour", default=None, help="Force colours on or off; by default on a terminal only.")
@click.option("-o", "--output", type=click.Path(dir_okay=False), help="Write to this file instead of the terminal.")
def tag(
    files: tuple[str, ...],
    form: str,
    model: str | None,
    threshold: float | None,
    device: str,
    runtime: str,
    colour: bool | None,
    output: str | None,
) -> None:
    """Mark the entities in articles.

    FILES are texts (one article each), .jsonl files (one article a line), folders of them, or - for standard input.
    The format entities writes a JSON line an article, with the mentions that name one thing together.
    """
    from kayan.formats import conll, replacing
    from kayan.tagger import Tagger

    sources = list(_files(files or ("-",)))
    tagger = Tagger.load(model, threshold=threshold, device=device, runtime=runtime)
    documents = tagger.stream(article for source in sources for article in _articles(source))
    if output and sys.stderr.isatty():
        documents = _counted(documents)
    if colour is None:
        colour = output is None and sys.stdout.isatty() and "NO_COLOR" not in os.environ
    types = tagger.policy.schema.types
    if form == "text":
        lines: Iterable[str] = (painted(document, types, colour) for document in documents)
    else:
        lines = {"jsonl": _quoting_lines, "conll": conll.lines, "entities": _entity_lines}[form](documents)
    if output:
        with replacing(output) as file:
            file.writelines(lines)
    else:
        # What is piped into a file is left as it is; `painted` brings its own colours.
        sys.stdout.writelines(map(visible, lines) if sys.stdout.isatty() and form != "text" else lines)
        sys.stdout.flush()


def _counted(documents: Iterable[Document]) -> Iterator[Document]:
    """The documents, while their number stands on standard error."""
    count = 0
    for count, document in enumerate(documents, 1):
        echo(f"{count} articles", err=True, nl=False, over=True)
        yield document
    echo(f"{count} articles", err=True, over=True)


def _quoting_lines(documents: Iterable[Document]) -> Iterator[str]:
    from kayan.formats import jsonl

    for document in documents:
        yield json.dumps(jsonl.record(document, text=True), ensure_ascii=False) + "\n"


def _entity_lines(documents: Iterable[Document]) -> Iterator[str]:
    from kayan.entities import group

    for document in documents:
        record = {"id": document.id, "entities": [entity.to_dict() for entity in group(document)]}
        yield json.dumps(record, ensure_ascii=False) + "\n"


def _files(names: Iterable[str]) -> Iterator[str]:
    from kayan.formats import FormatError

    for name in names:
        path = Path(name)
        if name == "-" or path.is_file():
            yield name
        elif path.is_dir():
            found = sorted(file for file in path.rglob("*") if file.suffix in (".txt", ".jsonl") and file.is_file())
            if not found:
                raise FormatError(path, None, "holds no .txt or .jsonl file")
            yield from map(str, found)
        else:
            raise FormatError(path, None, "is no file or folder")


def _articles(source: str) -> Iterator[Document]:
    """The articles of a file, read only when they are asked for."""
    from kayan.document import Document
    from kayan.formats import FormatError, decode, jsonl, read_text

    if source == "-":
        yield Document(decode(sys.stdin.buffer.read(), "standard input").rstrip("\n"), id="stdin")
    elif source.endswith(".jsonl"):
        with Path(source).open("rb") as file:
            empty = True
            for number, raw in enumerate(file, 1):
                if raw.strip():
                    empty = False
                    yield jsonl.parse(decode(raw, source, number).rstrip("\r\n"), source, number)
            if empty:
                raise FormatError(source, None, "is empty")
    else:
        yield Document(read_text(source).rstrip("\n"), id=Path(source).stem)


@main.command()
@click.argument("source", metavar="IN")
@click.argument("target", metavar="OUT", type=click.Path(file_okay=False))
@click.option("--format", "form", type=click.Choice(["parquet", "jsonl"]), default="parquet", show_default=True)
@click.option("--text", default="text", show_default=True, help="The column (of JSON: the key) of the articles' texts.")
@click.option(
    "--id", "identity", default=None, help="The column of their ids; «id» where there is one, else FILE:LINE."
)
@click.option(
    "--keep", multiple=True, help="A column that goes along into the table of articles: date. May be repeated."
)
@click.option("--shard", default=10_000, show_default=True, help="Articles in a shard.")
@click.option("--strict", is_flag=True, help="Stop at the first record that is no article.")
@_MODEL
@click.option(
    "--threshold", type=float, help="Leave out mentions that score less; by default what the checkpoint says."
)
@_DEVICE
@_DTYPE
@_RUNTIME
@click.option("--batch", default=8192, show_default=True, help="Sub-words that go through the model at once.")
def archive(
    source: str,
    target: str,
    form: str,
    text: str,
    identity: str | None,
    keep: tuple[str, ...],
    shard: int,
    strict: bool,
    model: str | None,
    threshold: float | None,
    device: str,
    dtype: str,
    runtime: str,
    batch: int,
) -> None:
    """Tag an archive of any size into shards of Parquet or JSONL; a run that was cut off goes on.

    IN is a .jsonl, .csv, .tsv, .parquet or .txt file, a folder of them, or an fsspec URL (s3://…) of either; all but
    Parquet also as .gz or .zst. OUT is a folder; give the same command again to go on after an interruption. Records that
    are no article are listed in OUT/rejected.jsonl.
    """
    from kayan.archive import Settings, local, model_settings, run
    from kayan.records import Columns
    from kayan.tagger import Tagger

    tagger = Tagger.load(model, threshold=threshold, device=device, dtype=dtype, runtime=runtime, batch=batch)
    about = model_settings(model, tagger.threshold, runtime, device, dtype)
    settings = Settings(Columns(text, identity, keep), form, shard, about)
    said = _Ticker()
    done = run(source, target, local(tagger), settings, strict=strict, progress=said, note=said.note)
    said.note(
        f"{target}: {done['articles']} articles, {done['mentions']} mentions in {len(done['shards'])} shards"
        + (
            f"; {done['rejected']['records']} records rejected, see rejected.jsonl"
            if done["rejected"]["records"]
            else ""
        )
    )


class _Ticker:
    """Progress on standard error: a line that changes every second on a terminal, else a line every half minute."""

    def __init__(self) -> None:
        self.live, self.next, self.width = sys.stderr.isatty(), 0.0, 0

    def __call__(self, state: Any) -> None:
        if state.seconds >= self.next:
            self.next = state.seconds + (1 if self.live else 30)
            line = str(state)
            echo(f"{line:<{self.width}}", err=True, nl=not self.live, over=self.live)
            self.width = len(line)

    def note(self, line: str) -> None:
        echo(("\n" if self.live and self.width else "") + line, err=True)
        self.width = 0


@main.command()
@click.option("--model", default=None, help="Checkpoint folder; the embedded starter if not given.")
@click.option("--onnx", is_flag=True, help="model.onnx: float32, the same answers. The default.")
@click.option("--int8", is_flag=True, help="model.int8.onnx: faster, with a few other answers.")
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False),
    help="Copy the checkpoint to this folder first, and write there.",
)
def export(model: str | None, onnx: bool, int8: bool, output: str | None) -> None:
    """Put ONNX graphs beside a checkpoint's weights: a machine with kayan[onnx] alone then uses it."""
    import shutil

    from kayan.checkpoint import inspect, resolve
    from kayan.export import export as write

    checkpoint = inspect(resolve(model))
    if output:
        if Path(output).exists():
            raise ValueError(f"{output} exists; remove it, or name another folder")
        shutil.copytree(checkpoint.path, output)
        checkpoint = inspect(output)
    kinds = ["onnx"] * (onnx or not int8) + ["onnx-int8"] * int8
    for path in write(checkpoint, kinds):
        echo(f"{path}: {path.stat().st_size / 1e6:.1f} MB, reads {checkpoint.path}/*.safetensors")


@main.command()
@click.argument("folder", metavar="RUN_FOLDER", type=click.Path(file_okay=False))
@click.argument("repository", metavar="ORG/NAME")
@click.option("--private", is_flag=True, help="Make the repository a private one.")
@click.option("--revision", help="The branch; made where there is none. The main one if not given.")
@click.option("--message", help="Of the commit.")
@click.option(
    "--license", help="What the model card is to state: apache-2.0, cc-by-sa-4.0 …; needed where it states none."
)
@click.option("--dry-run", is_flag=True, help="Check everything and list the files, without the network.")
def push(
    folder: str,
    repository: str,
    private: bool,
    revision: str | None,
    message: str | None,
    license: str | None,
    dry_run: bool,
) -> None:
    """Upload the best checkpoint of a run, or a checkpoint folder, with its model card to the Hugging Face hub.

    Log in with `hf auth login`, or set HF_TOKEN. Nothing but the files of a checkpoint is uploaded.
    """
    from kayan.hub import push_to_hub

    done = push_to_hub(
        folder, repository, private=private, revision=revision, message=message, license=license, dry_run=dry_run
    )
    for path in done.files:
        click.echo(f"{path.stat().st_size / 1e6:>10.2f} MB  {line(path)}")
    for title, names in (("not uploaded", done.left_out), ("deleted there", done.removed)):
        if names:
            click.echo(f"{title}: {line(', '.join(names))}")
    click.echo(done.url or f"nothing was uploaded to {repository}: --dry-run")


@main.command()
@_MODEL
@_RUNTIME
@_DEVICE
@_DTYPE
def doctor(model: str | None, runtime: str, device: str, dtype: str) -> None:
    """Say what this machine computes with, which runtime is chosen for a checkpoint, and why."""
    from kayan.checkpoint import inspect, resolve
    from kayan.runtime import describe

    for name, said in describe(inspect(resolve(model)), runtime, device, dtype):
        echo(f"{name:<13}{said}")


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; 0.0.0.0 is all of them.")
@click.option("--port", default=8000, show_default=True, help="0 takes a free one, which the log names.")
@_MODEL
@click.option("--threshold", type=float, help="For requests that name none; by default what the checkpoint says.")
@_DEVICE
@click.option("--max-characters", default=200_000, show_default=True, help="Unicode code points of one article.")
@click.option("--max-bytes", type=int, help="Of a request's body; 8 a character of --max-characters if not given.")
@click.option("--max-queue", default=64, show_default=True, help="Articles that may wait; more are answered with 429.")
@click.option("--workers", default=1, show_default=True, help="Threads that tag, each with a model of its own.")
@click.option(
    "--batch-wait-ms", default=5.0, show_default=True, help="How long an article waits for others to be tagged with."
)
@click.option("--timeout", default=120.0, show_default=True, help="Seconds until a request is given up.")
def serve(**settings: Any) -> None:
    """Serve a tagger over HTTP, with a page to tag and correct articles at its root.

    Nothing asks who is there: listen on other addresses only behind something that does.
    """
    try:
        from kayan import server
    except ModuleNotFoundError as error:
        raise ImportError(
            f"{error.name} is not installed: the web service needs it, install it with: pip install 'kayan[serve]'"
        ) from None
    server.serve(server.Settings(**settings))


@main.group()
def data() -> None:
    """Look at and convert annotated corpora."""


_CORPUS = click.option(
    "--corpus", type=click.Path(dir_okay=False), help="YAML file that says how to read it and what it annotates."
)


@data.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(dir_okay=False))
@click.option("--types", default=None, help="Comma-separated entity types; other labels are findings.")
@click.option(
    "--page", type=click.Path(dir_okay=False), help="Write the findings to this HTML page, with the text around them."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@_CORPUS
def check(files: tuple[str, ...], types: str | None, page: str | None, as_json: bool, corpus: str | None) -> None:
    """Report everything that an annotator should look at, with a proposed fix; exit status 1 when there is anything.

    Several FILES are checked together: what is a copy, is marked otherwise or shifts between them is found.
    """
    from kayan import doctor
    from kayan.formats import replacing
    from kayan.schema import Schema

    schema = Schema(tuple(types.split(","))) if types else None
    parts = doctor.named(files, (_load(file, corpus) for file in files))
    findings = doctor.examine(parts, schema)
    if page:
        from kayan.page import findings_page

        with replacing(page) as file:
            file.write(findings_page(parts, findings))
    if as_json:
        echo(to_json([finding.to_dict() for finding in findings], indent=1))
    else:
        for finding in findings:
            echo(line(finding))
        articles = sum(len(part) for part in parts.values())
        mentions = sum(len(document.spans) for part in parts.values() for document in part.documents)
        rules = ", ".join(f"{rule} {count}" for rule, count in doctor.summary(findings).items())
        echo(f"{articles} articles, {mentions} mentions, {len(findings)} findings" + (f": {rules}" if rules else ""))
    if findings:
        raise SystemExit(1)


@data.command()
@click.argument("first", type=click.Path(dir_okay=False))
@click.argument("second", type=click.Path(dir_okay=False))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@_CORPUS
def agree(first: str, second: str, as_json: bool, corpus: str | None) -> None:
    """Compare two annotations of the same articles: span-F1, exact and boundary-lenient, kappa of the words, and every
    disagreement."""
    from kayan.agreement import agree as compare

    one, two = _load(first, corpus), _load(second, corpus)
    result = compare(one.documents, two.documents, one.declaration)
    figures = result.to_dict()
    if as_json:
        echo(to_json(figures, indent=1))
        return
    for one in result.disagreements:
        echo(line(one))
    if not figures["types"]:
        echo(f"{figures['articles']} articles, neither marks anything")
        return
    low, high = figures["interval_95_by_article"]
    echo(
        f"{figures['articles']} articles, {len(result.disagreements)} disagreements\n"
        f"span-F1 {figures['span_f1']:.3f} ({low:.3f}-{high:.3f}), boundary-lenient {figures['boundary_lenient_f1']:.3f}, "
        f"kappa of the words {result.kappa:.3f}, of those that either marks {result.kappa_marked:.3f}"
    )
    for name, row in figures["types"].items():
        echo(
            f"  {isolated(name)}{' ' * (6 - len(name))} {row['first']:>5} / {row['second']:<5} span-F1 {row['span_f1']:.3f}, "
            f"boundary-lenient {row['boundary_lenient_f1']:.3f}"
        )


@data.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(dir_okay=False))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@_CORPUS
def stats(files: tuple[str, ...], as_json: bool, corpus: str | None) -> None:
    """Count articles, words and mentions."""
    from kayan import corpus as corpora

    figures = {file: corpora.stats(_load(file, corpus).documents) for file in files}
    if as_json:
        echo(to_json(figures, indent=1))
        return
    for file, counts in figures.items():
        echo(
            f"{file}: {counts['articles']} articles, {counts['words']} words, {counts['mentions']} mentions, "
            f"{counts['share_behind_a_particle']:.0%} behind a particle, longest {counts['longest_mention_words']} words"
        )
        for label, row in counts["types"].items():
            frequent = " · ".join(f"{name} {count}" for name, count in row["most_frequent"])
            echo(f"  {label:<6} {row['mentions']:>5}  {row['distinct_names']:>5} names  {frequent}")


@data.command()
@click.argument("file", type=click.Path(dir_okay=False))
@click.argument("folder", type=click.Path(file_okay=False))
@click.option("--shares", default="train=0.8,validation=0.1,test=0.1", show_default=True)
@click.option("--by", default=None, help="A meta field whose equal values stay in one part: source, date, …")
@click.option(
    "--after",
    default=None,
    help="A meta field to divide by in order, the earliest first: date. Add --by date to keep days whole.",
)
@click.option("--seed", default=0, show_default=True)
@_CORPUS
def split(
    file: str, folder: str, shares: str, by: str | None, after: str | None, seed: int, corpus: str | None
) -> None:
    """Divide FILE into parts written to FOLDER as JSONL, whole articles only, near-copies together, each with its share
    of every type unless --after divides them in order. A file that is there already is not written over."""
    from kayan import corpus as corpora
    from kayan.formats import jsonl

    wanted = _shares(shares)
    targets = {part: Path(folder) / f"{part}.jsonl" for part in wanted}
    for target in targets.values():
        if target.exists():
            raise ValueError(f"{target} exists; remove it, or name another folder")
    parts = corpora.split(_load(file, corpus).documents, wanted, seed, by, after)
    for part, documents in parts.items():
        jsonl.write(targets[part], documents)
        echo(f"{targets[part]}: {len(documents)} articles")


def _shares(text: str) -> dict[str, float]:
    """The parts and their shares in «train=0.8,test=0.2»."""
    pairs = [[piece.strip() for piece in item.split("=")] for item in text.split(",")]
    try:
        shares = {part: float(share) for part, share in pairs}
    except ValueError:
        raise ValueError(f"--shares must look like train=0.8,validation=0.1,test=0.1, not {text!r}") from None
    for part in shares:
        if not part or Path(part).name != part or [name for name, _ in pairs].count(part) > 1:
            raise ValueError(f"--shares must name each part once, by a file name without a folder, not {part!r}")
    return shares


@data.command()
@click.argument("source", type=click.Path())
@click.argument("target", type=click.Path())
@click.option("--from", "read_as", help="Format of SOURCE, where its ending and first line do not tell.")
@click.option("--to", "write_as", help="Format of TARGET, where its ending does not tell: doccano, webanno, brat, hf …")
@_CORPUS
def convert(source: str, target: str, read_as: str | None, write_as: str | None, corpus: str | None) -> None:
    """Convert annotated articles from one format to another: jsonl, conll, label_studio (.json), doccano, brat, webanno,
    spacy, hf, tables (.csv, .xlsx). What the target has no place for is told."""
    from kayan.formats import registry

    for option, name in (("--from", read_as), ("--to", write_as)):
        if name not in (None, *registry.FORMATS):
            raise ValueError(f"{option} must be one of {', '.join(registry.FORMATS)}, not {name!r}")
    documents = _load(source, corpus, read_as).documents
    registry.write(Path(target), documents, write_as)
    echo(f"{target}: {len(documents)} articles, {sum(len(document.spans) for document in documents)} mentions")


@main.group()
def annotate() -> None:
    """Choose and pre-annotate articles, and see what annotators changed."""


_THRESHOLD = click.option("--threshold", type=float, help="Mentions that score less are not pre-annotated.")


@annotate.command()
@click.argument("files", nargs=-1, required=True, type=click.Path())
@click.option("-o", "--output", required=True, type=click.Path(), help="File to write.")
@click.option("--format", "form", help="label_studio (.json), jsonl (.jsonl), doccano …; by the ending of OUTPUT.")
@click.option("--count", default=100, show_default=True, help="Articles to write, at most.")
@click.option(
    "--order", type=click.Choice(["uncertainty", "random", "given"]), default="uncertainty", show_default=True
)
@click.option("--seed", default=0, show_default=True, help="Of the random order.")
@click.option("--diversity", default=0.5, show_default=True, help="0: by uncertainty alone; 1: unlike ones alone.")
@click.option("--annotated", multiple=True, type=click.Path(), help="Articles that are done; may be given again.")
@click.option("--model-version", help="Name that the pre-annotations bear; by default folder and hash of the weights.")
@click.option("--interface", type=click.Path(dir_okay=False), help="Write Label Studio's labelling interface here.")
@_MODEL
@_THRESHOLD
@_DEVICE
@_RUNTIME
def suggest(
    files: tuple[str, ...],
    output: str,
    form: str | None,
    count: int,
    order: str,
    seed: int,
    diversity: float,
    annotated: tuple[str, ...],
    model_version: str | None,
    interface: str | None,
    model: str | None,
    threshold: float | None,
    device: str,
    runtime: str,
) -> None:
    """Write the articles to annotate next, pre-annotated, those first of which the model is least certain.

    FILES are texts (one article each), .jsonl files (one article a line), folders of them, or - for standard input.
    """
    from kayan import annotate as annotation
    from kayan.checkpoint import resolve
    from kayan.formats import label_studio, registry, replacing
    from kayan.tagger import Tagger

    if form not in (None, *registry.FORMATS):
        raise ValueError(f"--format must be one of {', '.join(registry.FORMATS)}, not {form!r}")
    if form is None and Path(output).suffix.lower() not in registry.ENDINGS:
        raise ValueError(f"{output}: the ending does not tell the format; name it with --format")
    done = [document for file in annotated for document in _load(file, None).documents]
    folder = resolve(model)
    tagger = Tagger.load(folder, threshold=threshold, device=device, runtime=runtime)
    version = model_version or annotation.version_of(folder)
    articles = (article for source in list(_files(files)) for article in _articles(source))
    if sys.stderr.isatty():
        articles = _counted(articles)  # type: ignore[assignment]
    options: dict[str, Any] = {"order": order, "seed": seed, "diversity": diversity, "annotated": done}
    found = annotation.suggest(articles, count, tagger, model_version=version, **options)
    left_out = "; left out: " + ", ".join(f"{n} {why}" for why, n in found.left_out.items()) if found.left_out else ""
    if not found.documents:
        raise ValueError(f"no article is left to annotate of {found.read}{left_out}")
    annotation.write(output, found.documents, form, version)
    if interface:
        with replacing(interface) as file:
            file.write(label_studio.config(tagger.policy.schema.types) + "\n")
    values = [document.meta["uncertainty"] for document in found.documents]
    echo(
        f"{isolated(output)}: {len(found.documents)} of {found.read} articles, "
        f"uncertainty {max(values):.3f} to {min(values):.3f}, pre-annotated by {isolated(version)}{left_out}"
    )


@annotate.command()
@click.argument("corrected", type=click.Path())
@click.argument("proposed", required=False, type=click.Path())
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--list", "limit", default=50, show_default=True, help="Changes to list.")
@click.option("--from", "read_as", help="Format of CORRECTED, where its ending and first line do not tell.")
@_CORPUS
@_MODEL
@_THRESHOLD
@_DEVICE
@_RUNTIME
def review(
    corrected: str,
    proposed: str | None,
    as_json: bool,
    limit: int,
    read_as: str | None,
    corpus: str | None,
    model: str | None,
    threshold: float | None,
    device: str,
    runtime: str,
) -> None:
    """Show what annotators changed: mentions kept, of another type, with other edges, removed, added.

    CORRECTED holds their articles, PROPOSED the pre-annotations that they began with (of a Label Studio file its
    predictions; it may be the same file). Without PROPOSED the articles are tagged anew by --model.
    """
    from kayan import annotate as annotation
    from kayan.formats import label_studio, registry

    part = _load(corrected, corpus, read_as)
    if proposed is None:
        from kayan.tagger import Tagger

        tagger = Tagger.load(model, threshold=threshold, device=device, runtime=runtime)
        before: Iterable[Document] = tagger.stream(part.documents)
    elif registry.guess(Path(proposed)) == "label_studio":
        before = label_studio.read(proposed, predictions=True)
    else:
        before = _load(proposed, corpus).documents
    result = annotation.review(part.documents, before, part.declaration)
    if as_json:
        echo(to_json(result.to_dict(), indent=1))
    else:
        for one in result.lines(limit):
            echo(one)
    if result.unmatched:
        names = ", ".join(map(repr, result.unmatched[:5]))
        warnings.warn(f"{len(result.unmatched)} articles were not pre-annotated: {names}", stacklevel=1)


def _load(file: str, corpus: str | None, format: str | None = None) -> Any:
    from dataclasses import replace

    from kayan.corpus import Description, load, read_description

    description = read_description(corpus) if corpus else Description()
    return load(file, replace(description, format=format) if format else description)
