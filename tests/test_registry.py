"""Which format a file is in, and from each to each without losing a mention."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from kayan.cli import main
from kayan.corpus import Description, load
from kayan.document import Document, Span
from kayan.formats import FormatError, jsonl
from kayan.formats.registry import FORMATS, guess, read, write

ARTICLES = [
    Document("زار علي «مراكش» 😀 وفاس.", [Span(4, 7, "PER"), Span(9, 14, "LOC"), Span(19, 22, "LOC")], "n1"),
    Document("لا شيء هنا.", [], "n2"),
]
TARGETS = {
    "jsonl": "x.jsonl",
    "conll": "x.conll",
    "label_studio": "x.json",
    "doccano": "x.doccano.jsonl",
    "brat": "brat",
    "webanno": "webanno",
    "spacy": "x.spacy",
    "hf": "x.parquet",
    "tables": "x.xlsx",
}


@pytest.mark.parametrize("name", FORMATS)
def test_written_found_out_and_read_back(name: str, tmp_path: Path) -> None:
    target = tmp_path / TARGETS[name]
    articles = ARTICLES
    write(target, articles, name)
    assert guess(target) == name
    found = {document.id: document for document, _ in read(target, name)}
    assert found.keys() == {"n1", "n2"}
    for article in articles:
        assert (found[article.id].text, found[article.id].spans) == (article.text, article.spans)
    assert len(load(target)) == 2, "a corpus of any format trains and is judged"


def test_a_folder_is_hashed_by_what_is_in_it(tmp_path: Path) -> None:
    write(tmp_path / "a", ARTICLES, "brat")
    write(tmp_path / "b", ARTICLES, "brat")
    one, other = (load(tmp_path / name, Description(name="x")).sha256 for name in "ab")
    assert one == other
    (tmp_path / "b" / "n2.ann").write_text("T1\tMISC 3 6\tشيء\n", encoding="utf-8")
    assert load(tmp_path / "b").sha256 != one


@pytest.mark.parametrize(
    ("name", "line", "expected"),
    [
        ("x.tsv", "#FORMAT=WebAnno TSV 3.3", "webanno"),
        ("x.tsv", "article\tstart\tend\tlabel\ttext", "tables"),
        ("x.tsv", "فاس\tB-LOC", "conll"),
        ("x.jsonl", '{"text": "x", "label": []}', "doccano"),
        ("x.jsonl", '{"text": "x", "spans": []}', "jsonl"),
        ("x.jsonl", "{broken", "jsonl"),
    ],
)
def test_the_first_line_decides(tmp_path: Path, name: str, line: str, expected: str) -> None:
    (tmp_path / name).write_text(line + "\n", encoding="utf-8")
    assert guess(tmp_path / name) == expected


def test_what_tells_nothing_is_refused_with_the_formats(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"endings are \.jsonl.* formats jsonl, conll, label_studio"):
        guess(tmp_path / "x.docx")
    with pytest.raises(ValueError, match="endings are"):
        write(tmp_path / "x.docx", ARTICLES)


def test_convert_says_what_has_no_place(tmp_path: Path) -> None:
    scored = [Document("زار علي فاس", [Span(4, 7, "PER", 0.5)], "n1", {"source": "x"})]
    jsonl.write(tmp_path / "in.jsonl", scored)

    def convert(*arguments: str) -> str:
        done = CliRunner().invoke(main, ["data", "convert", *arguments])
        assert done.exit_code == 0, done.output
        return done.output

    source = str(tmp_path / "in.jsonl")
    said = convert(source, str(tmp_path / "out"), "--to", "webanno")
    assert "warning: " in said
    assert "score" in said
    assert "1 articles, 1 mentions" in said
    assert convert(str(tmp_path / "out"), str(tmp_path / "back.csv")).endswith("1 articles, 1 mentions\n")
    assert jsonl.read(source)[0].spans[0].start == 4
    refused = CliRunner().invoke(main, ["data", "convert", source, str(tmp_path / "y"), "--to", "word"])
    assert refused.exit_code == 2
    assert "--to must be one of jsonl" in refused.output
