import json
from pathlib import Path

import pytest
from click.testing import CliRunner

pytest.importorskip("torch")
pytest.importorskip("jinja2")

from eval.__main__ import compare
from eval.compare import OUTCOMES, chart, outcomes, run, short, terminal
from kayan.document import Document, Span
from kayan.formats import jsonl
from tests.conftest import marked
from tests.test_page import HOSTILE, Reader


def test_who_is_right_at_each_place() -> None:
    gold = marked("زار [PER علي] [LOC فاس] ثم [LOC طنجة] و[LOC تطوان]")
    per, fes, tangier, tetouan = gold.spans
    first = gold.with_spans([per, Span(fes.start, fes.end, "ORG"), Span(0, 3, "ORG")])
    second = gold.with_spans([per, fes, Span(tangier.start - 1, tangier.end, "LOC"), tetouan])
    cases = outcomes(gold, first, second)
    assert [case[0] for case in cases] == ["second", "both", "second", "neither", "second"]
    assert cases[0] == ["second", [], [[0, 3, "ORG"]], []], "who marks nothing where nothing is, is right"


def test_short_names_tell_systems_apart() -> None:
    assert short(["runs/a/best", "runs/b/best"]) == ["a", "b"]
    assert short(["starter", "runs/b/best"]) == ["starter", "runs/b/best"]
    assert short(["runs/x.jsonl", "runs/y.jsonl"]) == ["x.jsonl", "y.jsonl"]
    assert short(["runs/a", "runs/a/best"]) == ["a", "a/best"]


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    place = HOSTILE.index("مراكش")
    right = Document(HOSTILE, [Span(4, 7, "PER"), Span(place, place + 5, "LOC")], "a1")
    others = [marked(f"وصل [PER علي] إلى [LOC فاس] {n}", f"a{n}") for n in range(2, 12)]
    gold = [right, *others]
    half = [right.with_spans(right.spans[:1]), *(one.with_spans(one.spans[:1]) for one in others)]
    for name, documents in (("gold", gold), ("first", half), ("second", gold), ("fewer", gold[:3])):
        jsonl.write(tmp_path / f"{name}.jsonl", documents)
    return {name: str(tmp_path / f"{name}.jsonl") for name in ("gold", "first", "second", "fewer")}


@pytest.mark.parametrize("language", ["ar", "en"])
def test_the_command_says_which_is_better(files: dict[str, str], tmp_path: Path, language: str) -> None:
    arguments = [files["first"], files["second"], "--data", files["gold"], "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(compare, [*arguments, "--samples", "500", "--language", language])
    assert result.exit_code == 0, result.output
    report = json.loads((tmp_path / "out" / "compare.json").read_text(encoding="utf-8"))
    [pair] = report["data"][0]["pairs"]
    assert pair["figures"]["LOC"]["f1"] == [0.0, 1.0]
    assert pair["figures"]["PER"]["difference"] == 0
    assert pair["figures"]["all"]["p"] < 0.01 < pair["figures"]["PER"]["p"]
    assert "+1.000" in result.output
    page = (tmp_path / "out" / "compare.html").read_text(encoding="utf-8")
    assert chart(pair) in page
    reader = Reader()
    reader.feed(page)
    assert reader.open == []
    data = json.loads(reader.scripts[0][1])
    assert data["articles"][0]["text"] == HOSTILE
    assert set(data["kinds"]) == set(OUTCOMES)
    assert [side[1] for side in data["sides"][1:]] == ["first.jsonl", "second.jsonl"]
    assert (tmp_path / "out" / "compare.md").read_text(encoding="utf-8").count("| second.jsonl |") >= 3


def test_arabic_in_the_terminal_turns_none_of_its_numbers(tmp_path: Path) -> None:
    gold, first, second = (tmp_path / f"{name}.jsonl" for name in ("أخبار", "a", "نظام"))
    for path in (gold, first, second):
        jsonl.write(path, [Document("زار زيد فاس", [Span(4, 7, "شخص")], "x")])
    report = run([str(first), str(second)], [str(gold)], [None], str(tmp_path / "out"), samples=50)
    shown = terminal(report).splitlines()
    assert shown[0].startswith("    system                \u2068أخبار\u2069  million parameters")
    assert shown[2].startswith("\u2068نظام.jsonl\u2069  1.000 (1.000–1.000)")
    assert shown[4] == f"\u2068{gold}\u2069: against a.jsonl"
    assert shown[7].startswith("\u2068نظام.jsonl\u2069   \u2068شخص\u2069     1  1.000")
    assert not [path for path in (tmp_path / "out").iterdir() if "\u2068" in path.read_text(encoding="utf-8")]


def test_a_matrix_of_checkpoints_and_corpora(
    files: dict[str, str], checkpoint: Path, corpus_file: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in checkpoint.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    arguments = [str(checkpoint), str(copy), "--data", files["gold"], "--data", str(corpus_file)]
    result = CliRunner().invoke(compare, [*arguments, "--samples", "50", "--out", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    report = json.loads((tmp_path / "out" / "compare.json").read_text(encoding="utf-8"))
    assert [one["pairs"][0]["figures"]["all"]["p"] for one in report["data"]] == [1.0, 1.0]
    assert len(list((tmp_path / "out").glob("predictions-*.jsonl"))) == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{first}", "--data", "{gold}"], "two systems or more"),
        (["{first}", "{first}", "--data", "{gold}"], "is named twice"),
        (["{first}", "{second}", "--data", "{gold}", "--data", "{gold}"], "holds the predictions for one file"),
        (["{first}", "{fewer}", "--data", "{gold}"], "no predictions for article 'a4'"),
        (["{first}", "{second}", "--data", "{gold}", *["--corpus", "{gold}"] * 2], "--corpus is given 2 times"),
    ],
)
def test_bad_input_is_one_line(files: dict[str, str], arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(compare, [argument.format(**files) for argument in arguments])
    assert result.exit_code == 2
    assert message in result.output
    assert "Traceback" not in result.output
