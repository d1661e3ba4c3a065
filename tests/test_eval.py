import json
from pathlib import Path

import pytest
from click.testing import CliRunner

pytest.importorskip("torch")

from transformers import AutoModelForTokenClassification

from eval.__main__ import main
from eval.report import evaluate, markdown, run, terminal
from kayan import Document, Span, Tagger
from kayan.corpus import Description, load
from kayan.formats import jsonl


class Saying:
    """A tagger that answers what it is told, with the encoder and policy of a real one."""

    def __init__(self, real: Tagger, answers: dict[str, list[Span]]):
        self.encoder, self.policy, self.answers = real.encoder, real.policy, answers

    def stream(self, articles: list[Document]) -> list[Document]:
        return [document.with_spans(self.answers.get(document.id, [])) for document in articles]


@pytest.fixture(scope="module")
def real(checkpoint: Path) -> Tagger:
    return Tagger.load(checkpoint)


def test_perfect_and_empty_answers(real: Tagger, corpus_file: Path, articles: list[Document]) -> None:
    right, _ = evaluate(Saying(real, {d.id: list(d.spans) for d in articles}), corpus_file)
    assert right["character_span_strict"]["micro"]["f1"] == 1
    assert right["seqeval_strict"]["overall_f1"] == 1
    assert right["proclitic"]["accuracy"] == 1
    assert right["unreachable_gold"] == []
    nothing, _ = evaluate(Saying(real, {}), corpus_file)
    assert nothing["character_span_strict"]["micro"]["f1"] == 0
    assert nothing["character_span_strict"]["micro"]["gold"] == 27


def test_a_glued_particle_is_wrong_to_the_character_and_right_to_the_word(real: Tagger, tmp_path: Path) -> None:
    jsonl.write(tmp_path / "a.jsonl", [Document("زار بمراكش", [Span(5, 10, "LOC")], "x")])
    result, _ = evaluate(Saying(real, {"x": [Span(4, 10, "LOC")]}), tmp_path / "a.jsonl")
    assert result["character_span_strict"]["micro"]["f1"] == 0
    assert result["character_span_type"]["micro"]["f1"] == 1
    assert result["proclitic"]["accuracy"] == 0
    assert result["seqeval_strict"]["overall_f1"] == 1


def test_unreachable_gold_stays_in_the_denominator(real: Tagger, tmp_path: Path) -> None:
    jsonl.write(tmp_path / "a.jsonl", [Document("في مراكش", [Span(5, 8, "LOC")], "x")])
    result, _ = evaluate(Saying(real, {}), tmp_path / "a.jsonl")
    assert result["character_span_strict"]["micro"]["gold"] == 1
    assert result["unreachable_gold"][0]["mention"] == "اكش"
    assert "unreachable gold: 1 of 1" in terminal({"checkpoint": "x", "data": [result]})


def test_a_corpus_that_annotates_less(real: Tagger, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(
        "زار O\nكريم B-PERS\nبفاس B-LOC\nكأس B-MISC\nالعالم I-MISC\nأمس O\n", encoding="utf-8"
    )
    description = Description(
        annotates=("PER", "LOC", "MISC"), proclitics=False, labels={"PERS": "PER"}, counts_as={"EVENT": "MISC"}
    )
    [document] = load(tmp_path / "a.txt", description).documents
    text = document.text
    answer = [
        Span(text.index("كريم"), text.index("كريم") + 4, "PER"),
        Span(text.index("فاس"), text.index("فاس") + 3, "LOC"),  # without the particle that the corpus keeps
        Span(text.index("كأس"), text.index("كأس") + 10, "EVENT"),  # what the corpus calls MISC
        Span(text.index("أمس"), text.index("أمس") + 3, "DATE"),  # a type that the corpus does not annotate
    ]
    result, _ = evaluate(Saying(real, {document.id: answer}), tmp_path / "a.txt", description)
    assert result["character_span_strict"]["micro"] | {"f1_interval_95": None} == {
        **result["character_span_strict"]["micro"],
        "f1_interval_95": None,
        "f1": 1.0,
    }
    assert result["seqeval_strict"]["overall_f1"] == 1
    assert result["seqeval_strict"]["overall_number"] == 3


def test_token_figures_keep_the_orphans_of_the_corpus(real: Tagger, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("زار O\nكريم I-PER\nفاس B-LOC\nو O\nطنجة B-LOC\n", encoding="utf-8")
    result, _ = evaluate(Saying(real, {}), tmp_path / "a.txt", Description(annotates=("PER", "LOC"), proclitics=False))
    assert result["seqeval_default"]["overall_number"] == 3
    assert result["seqeval_strict"]["overall_number"] == 2


def test_the_command_writes_its_report(
    checkpoint: Path, corpus_file: Path, tmp_path: Path, articles: list[Document]
) -> None:
    result = CliRunner().invoke(main, [str(checkpoint), str(corpus_file), "--out", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    assert "seqeval on tokens" in result.output
    report = json.loads((tmp_path / "out" / "metrics.json").read_text(encoding="utf-8"))
    assert (tmp_path / "out" / "report.md").read_text(encoding="utf-8") == markdown(report)
    predicted = jsonl.read(tmp_path / "out" / "predictions-tiny.jsonl")
    assert [document.text for document in predicted] == [document.text for document in articles]
    weights = AutoModelForTokenClassification.from_pretrained(checkpoint).num_parameters()
    assert report["cost"]["parameters"] == weights + 4 * 33, "the head for particles is counted too"
    assert report["cost"]["disk_megabytes"] > 0 < report["cost"]["load_seconds"]
    low, high = report["data"][0]["character_span_strict"]["micro"]["f1_interval_95"]
    assert low <= report["data"][0]["character_span_strict"]["micro"]["f1"] <= high


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{none}", "{corpus}"], "is no checkpoint folder"),
        (["{checkpoint}", "{none}.jsonl"], "cannot be read"),
        (["{checkpoint}", "{corpus}", "--threshold", "2"], "between 0 and 1"),
        (["{checkpoint}", "{corpus}", "--corpus", "{none}.yaml"], "cannot be read"),
    ],
)
def test_bad_input_is_one_line(
    checkpoint: Path, corpus_file: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    names = {"none": str(tmp_path / "none"), "corpus": str(corpus_file), "checkpoint": str(checkpoint)}
    result = CliRunner().invoke(main, [argument.format(**names) for argument in arguments])
    assert result.exit_code == 2
    assert message in result.output
    assert "Traceback" not in result.output


def test_arabic_in_the_terminal_turns_none_of_its_numbers(tmp_path: Path) -> None:
    gold, theirs = tmp_path / "أخبار.jsonl", tmp_path / "theirs.jsonl"
    for path in (gold, theirs):
        jsonl.write(path, [Document("زار زيد فاس", [Span(4, 7, "شخص"), Span(8, 11, "LOC")], "x")])
    report = run(str(theirs), [str(gold)], str(tmp_path / "out"))
    lost = {"article": "خبر", "mention": "اكش", "label": "LOC", "reason": "it begins inside a word"}
    report["data"][0]["unreachable_gold"].append(lost)
    shown = terminal(report).splitlines()
    assert shown[2] == f"\u2068{gold}\u2069: character-strict spans"
    # The marks take no room in the columns.
    assert [line.replace("\u2068", "").replace("\u2069", "")[:11] for line in shown[3:7]] == [
        "type  gold ",
        " all     2 ",
        " شخص     1 ",
        " LOC     1 ",
    ]
    assert shown[5].startswith(" \u2068شخص\u2069     1 ")
    assert "  unreachable gold: 1 of 2: \u2068اكش\u2069 (\u2068خبر\u2069: it begins inside a word)" in shown
    assert "unreachable gold: 1 of 2: اكش (خبر: it begins inside a word)" in markdown(report)
    assert not [path for path in (tmp_path / "out").iterdir() if "\u2068" in path.read_text(encoding="utf-8")]


def test_predictions_of_another_system_are_scored_alike(
    checkpoint: Path, corpus_file: Path, tmp_path: Path, articles: list[Document]
) -> None:
    arguments = [str(corpus_file), "--train-data", str(corpus_file), "--out"]
    first = CliRunner().invoke(main, [str(checkpoint), *arguments, str(tmp_path / "a")])
    assert first.exit_code == 0, first.output
    second = CliRunner().invoke(main, [str(tmp_path / "a" / "predictions-tiny.jsonl"), *arguments, str(tmp_path / "b")])
    assert second.exit_code == 0, second.output
    ours, theirs = (
        json.loads((tmp_path / name / "metrics.json").read_text(encoding="utf-8"))["data"][0] for name in "ab"
    )
    assert "speed" in ours
    assert "speed" not in theirs
    for key in ("character_span_strict", "seqeval_strict", "errors", "slices"):
        both = [result[key] for result in (ours, theirs)]
        if key == "character_span_strict":
            both = [figures["micro"] for figures in both]
        assert both[0] == both[1]
    assert ours["calibration"]["brier"] == pytest.approx(theirs["calibration"]["brier"], abs=1e-4)
    rows = ours["slices"]["seen in training, by name"]
    assert {row["part"] for row in rows if row["gold"]} == {"seen"}

    wrong = CliRunner().invoke(main, [str(tmp_path / "a" / "predictions-tiny.jsonl"), *[str(corpus_file)] * 2])
    assert wrong.exit_code == 2
    assert "are scored on one file" in wrong.output
