import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from kayan.cli import main
from kayan.document import Document, Span
from kayan.formats import conll, jsonl


def call(*arguments: str, text: str | bytes | None = None) -> tuple[int, str]:
    result = CliRunner().invoke(main, list(arguments), input=text)
    assert not isinstance(result.exception, Exception), result.exception
    return result.exit_code, result.output


def test_help_imports_nothing_heavy() -> None:
    code = "import sys; from kayan.cli import main; main(['--help'], standalone_mode=False); print(sorted(sys.modules))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "tag" in shown
    for module in ("torch", "transformers", "numpy", "tokenizers", "datasets"):
        assert f"'{module}'" not in shown


def test_tag_marks_a_text_without_colours(checkpoint: Path, tmp_path: Path, articles: list[Document]) -> None:
    article = tmp_path / "a.txt"
    article.write_text(articles[0].text + "\n", encoding="utf-8")
    code, shown = call("tag", str(article), "--model", str(checkpoint))
    assert code == 0
    assert "\x1b[" not in shown
    _, coloured = call("tag", str(article), "--model", str(checkpoint), "--colour")
    assert "\x1b[" in coloured or "no entities" in coloured


def test_tag_reads_folders_jsonl_and_standard_input(checkpoint: Path, tmp_path: Path, articles: list[Document]) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.txt").write_text(articles[0].text, encoding="utf-8")
    jsonl.write(tmp_path / "in" / "b.jsonl", articles)
    options = ("--model", str(checkpoint), "--format", "jsonl")
    code, shown = call("tag", str(tmp_path / "in"), *options)
    records = [json.loads(line) for line in shown.splitlines()]
    assert code == 0
    assert [record["id"] for record in records] == ["a", *(document.id for document in articles)]
    for record in records:
        for span in record["spans"]:
            assert record["text"][span["start"] : span["end"]] == span["text"]
    code, again = call("tag", "-", *options, text=articles[0].text)
    assert json.loads(again)["spans"] == records[0]["spans"]


def test_tag_writes_conll_to_a_file(
    checkpoint: Path, tmp_path: Path, corpus_file: Path, articles: list[Document]
) -> None:
    target = tmp_path / "out.conll"
    code, _ = call("tag", str(corpus_file), "--model", str(checkpoint), "--format", "conll", "-o", str(target))
    assert code == 0
    assert [document.text for document in conll.read(target)] == [document.text for document in articles]


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.txt", b"", "a.txt: is empty"),
        ("a.txt", "نص".encode("utf-16"), "UTF-16"),
        ("a.jsonl", b'{"text": "x"}\n{"text": \n', "a.jsonl:2: broken JSON"),
        ("a.jsonl", b'{"text": "x", "spans": [{"start": 0, "end": 7, "label": "PER"}]}', "outside the text"),
    ],
)
def test_bad_input_is_one_line_and_status_2(
    checkpoint: Path, tmp_path: Path, name: str, data: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(data)
    target = tmp_path / "out.jsonl"
    command = ("tag", str(tmp_path / name), "--model", str(checkpoint), "--format", "jsonl", "-o", str(target))
    code, shown = call(*command)
    assert code == 2
    assert message in shown
    assert "Traceback" not in shown
    assert not target.exists()
    assert len(shown.strip().splitlines()) == 1


def test_a_checkpoint_that_is_none(tmp_path: Path) -> None:
    code, shown = call("tag", "-", "--model", str(tmp_path / "none"), text="نص")
    assert code == 2
    assert "is no checkpoint folder" in shown


def test_a_file_that_is_not_there(checkpoint: Path) -> None:
    code, shown = call("tag", "none.txt", "--model", str(checkpoint))
    assert code == 2
    assert "none.txt: is no file or folder" in shown


def test_data_check(tmp_path: Path, corpus_file: Path) -> None:
    assert call("data", "check", str(corpus_file), "--types", "PER,ORG,LOC,EVENT,DATE,MISC") == (
        0,
        "6 articles, 27 mentions, 0 findings\n",
    )
    page = tmp_path / "page.html"
    code, shown = call("data", "check", str(corpus_file), "--types", "PER,ORG,LOC", "--page", str(page))
    assert code == 1
    assert f"{corpus_file}:1: unknown-label: article 'tiny-0'" in shown
    assert 'data-rule="unknown-label"' in page.read_text(encoding="utf-8")
    code, shown = call("data", "check", str(corpus_file), "--types", "PER,ORG,LOC", "--json")
    assert json.loads(shown)[0]["line"] == 1


def test_data_agree(tmp_path: Path, corpus_file: Path, articles: list[Document]) -> None:
    jsonl.write(tmp_path / "b.jsonl", [articles[0].with_spans(articles[0].spans[1:]), *articles[1:]])
    code, shown = call("data", "agree", str(corpus_file), str(tmp_path / "b.jsonl"))
    assert code == 0
    assert "article 'tiny-0': only-first: PER \u2068'كريم الوزاني'\u2069 [4, 16) / nothing" in shown
    assert "6 articles, 1 disagreements\nspan-F1 0.981" in shown
    code, shown = call("data", "agree", str(corpus_file), str(tmp_path / "b.jsonl"), "--json")
    assert json.loads(shown)["disagreements"][0]["kind"] == "only-first"
    jsonl.write(tmp_path / "c.jsonl", [articles[0].with_spans([])])
    assert call("data", "agree", *[str(tmp_path / "c.jsonl")] * 2) == (0, "1 articles, neither marks anything\n")
    jsonl.write(tmp_path / "b.jsonl", articles[1:])
    assert call("data", "agree", str(corpus_file), str(tmp_path / "b.jsonl"))[0] == 2


def test_arabic_in_a_line_for_the_terminal_turns_none_of_its_numbers(tmp_path: Path) -> None:
    text = "قال زيد  في كوت د'إيفوار (الساحل)"
    place = Span(text.index("كوت"), text.index(" (") + 2, "مكان")
    one, other, page = (tmp_path / name for name in ("أخبار.jsonl", "b.jsonl", "page.html"))
    jsonl.write(one, [Document(text, [Span(4, 8, "شخص"), place], "خبر"), Document(text, (), "y")])
    jsonl.write(other, [Document(text, [place], "خبر"), Document(text, (), "y")])
    code, shown = call("data", "check", str(one), "--page", str(page))
    assert code == 1
    start, what = (
        f"\u2068{one}\u2069:1: edge: article \u2068'خبر'\u2069: ",
        "begins or ends with a space, a quotation mark",
    )
    first, second, *_ = shown.splitlines()
    assert first.startswith(f"{start}\u2068شخص\u2069 \u2068'زيد '\u2069 [4, 8) {what}")
    assert first.endswith("; make it \u2068شخص\u2069 \u2068'زيد'\u2069 [4, 7)")
    assert second.startswith(f"{start}\u2068مكان\u2069 \u2068'كوت د\\'إيفوار ('\u2069 [12, 26) {what}")
    assert second.endswith("; make it \u2068مكان\u2069 \u2068'كوت د\\'إيفوار'\u2069 [12, 24)")
    assert f"article 'y': the text is that of article \u2068'خبر'\u2069 (\u2068{one}\u2069:1)" in shown
    _, shown = call("data", "agree", str(one), str(other))
    lines = shown.splitlines()
    assert lines[0] == "article \u2068'خبر'\u2069: only-first: \u2068شخص\u2069 \u2068'زيد '\u2069 [4, 8) / nothing"
    assert lines[-2].startswith("  \u2068شخص\u2069        1 / 0     span-F1 0.000")
    # Files keep the text as it is.
    for command in (("check", str(one), "--json"), ("agree", str(one), str(other), "--json")):
        assert "\u2068" not in call("data", *command)[1]
    assert "\u2068" not in page.read_text(encoding="utf-8")


def test_data_stats(corpus_file: Path) -> None:
    code, shown = call("data", "stats", str(corpus_file))
    assert code == 0
    assert "6 articles" in shown
    code, shown = call("data", "stats", str(corpus_file), "--json")
    assert json.loads(shown)[str(corpus_file)]["mentions"] == 27


def test_data_split_and_convert(tmp_path: Path, corpus_file: Path, articles: list[Document]) -> None:
    code, _ = call("data", "split", str(corpus_file), str(tmp_path), "--shares", "train=0.5,test=0.5")
    assert code == 0
    parts = [jsonl.read(tmp_path / f"{part}.jsonl") for part in ("train", "test")]
    assert sorted(d.id for part in parts for d in part) == [d.id for d in articles]
    code, shown = call("data", "split", str(corpus_file), str(tmp_path), "--shares", "other=0.5,test=0.5")
    assert (code, f"{tmp_path / 'test.jsonl'} exists" in shown) == (2, True)
    assert jsonl.read(tmp_path / "test.jsonl") == parts[1]
    assert not (tmp_path / "other.jsonl").exists()
    call("data", "split", str(corpus_file), str(tmp_path / "spaced"), "--shares", "train=0.5, test=0.5")
    assert (tmp_path / "spaced" / "test.jsonl").exists()
    for shares in ("train", "train=x", "a=0.5,a=0.5", "../a=0.5,b=0.5", "=0.5,b=0.5"):
        code, shown = call("data", "split", str(corpus_file), str(tmp_path / "none"), "--shares", shares)
        assert (code, shown.startswith("error: --shares must")) == (2, True)
    code, _ = call("data", "convert", str(corpus_file), str(tmp_path / "a.conll"))
    assert code == 0
    assert conll.read(tmp_path / "a.conll") == articles
    code, shown = call("data", "convert", str(corpus_file), str(tmp_path / "a.doc"))
    assert (code, "formats jsonl, conll" in shown) == (2, True)
