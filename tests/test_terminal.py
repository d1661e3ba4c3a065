"""What comes from files gives no orders to the terminal that shows it, whichever program prints it."""

import json
import os
import pty
import subprocess
import sys
import warnings
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from eval.__main__ import entities as eval_entities
from eval.__main__ import main as eval_main
from kayan.cli import main
from kayan.document import Document, Span
from kayan.formats import jsonl
from kayan.terminal import Command, echo, isolate, isolated, reporting, to_json, visible
from train.__main__ import main as train_main

# Clear the screen, a title, the C1 form of the first, delete, back to the start of the line.
ORDERS = "\x1b[2J\x1b]0;x\x07\x9b2J\x7f\rx"
NAME = "a\x1b[2J\x9b2J\x7f"


def ordered(shown: str) -> set[str]:
    return {char for char in shown if char not in "\n\t" and (char < " " or "\x7f" <= char <= "\x9f")}


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """Two articles whose texts, ids, labels and file name all give orders, of which the first twice, differently marked."""
    text = f"زار كريم{ORDERS} مدينة فاس{ORDERS} أمس"
    at, name = text.index("كريم"), "كريم" + ORDERS
    folder = tmp_path / NAME
    folder.mkdir()
    path, other = folder / f"{NAME}.jsonl", folder / "other.jsonl"
    pair = [Span(at, at + len(name), f"PER{ORDERS}"), Span(at, at + 4, "LOC")]
    first = Document(text, pair, f"1{ORDERS}", {"groups": [[0], [1]]})
    people = [Span(0, 3, f"PER{ORDERS}"), Span(at, at + len(name), f"PER{ORDERS}")]
    second = Document(text + name * 2, people, f"2{ORDERS}", {"groups": [[0, 1]]})
    jsonl.write(path, [first, second])
    jsonl.write(other, [first.with_spans([Span(at, at + 3, "LOC")]), second.with_spans([])])
    return path


@pytest.mark.parametrize(
    "command",
    [
        "data check {0}",
        "data check {0} --json",
        "data check {0} --types PER{orders}",
        "data agree {0} {1}",
        "data agree {0} {1} --json",
        "data stats {0}",
        "data stats {0} --json",
        "data stats {0}none",
        "data stats {folder}",
        "data split {0} {folder} --shares a=0.5,b=0.5",
        "data convert {0} {folder}/b.json",
        "data convert {0} {folder}/b.conll",
        "data convert {0} {folder}/b.none",
        "annotate review {0} {1}",
        "annotate review {0} {1} --json",
        "annotate suggest {0} -o {folder}/c.json",
        "tag {folder}/none",
        "tag {0} --format entities",
        "tag {0} --format jsonl",
        "archive {folder}/none {folder}/out",
        "doctor --model {folder}",
        "data {orders}",
        "{orders}",
    ],
)
def test_no_command_passes_orders_on(hostile: Path, checkpoint: Path, command: str) -> None:
    words = [
        word.format(hostile, hostile.parent / "other.jsonl", folder=hostile.parent, orders=ORDERS)
        for word in command.split(" ")
    ]
    if words[0] in ("tag", "archive") or "suggest" in words:
        words += ["--model", str(checkpoint)]
    result = CliRunner().invoke(main, words)
    assert not isinstance(result.exception, Exception), result.exception
    assert result.output
    # A line of JSON that goes into a file is left as it is.
    assert ordered(result.output) <= ({"\x7f", "\x9b"} if command.startswith("tag {0}") else set())


@pytest.mark.parametrize("form", ["jsonl", "conll", "entities"])
def test_what_is_tagged_is_safe_on_a_terminal_and_itself_in_a_pipe(tmp_path: Path, checkpoint: Path, form: str) -> None:
    article = tmp_path / "a.txt"
    article.write_text("زار\x1b[2J كريم\x9b2J مدينة فاس\x7f أمس", encoding="utf-8")
    command = [sys.executable, "-c", "from kayan.cli import main; main()", "tag", str(article), "--format", form]
    command += ["--model", str(checkpoint), "--threshold", "0"]
    piped = subprocess.run(command, capture_output=True, check=True).stdout.decode()
    mine, its = pty.openpty()
    subprocess.run(command, stdout=its, check=True)
    os.close(its)
    shown = b""
    while chunk := _read(mine):
        shown += chunk
    assert ordered(shown.decode().replace("\r\n", "\n")) == set()
    assert visible(piped) == shown.decode().replace("\r\n", "\n")
    assert form == "entities" or "\x9b" in piped


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # what Linux says at the end
        return b""


def test_the_programs_that_judge_and_train_pass_none_on(hostile: Path, checkpoint: Path, tmp_path: Path) -> None:
    config = tmp_path / f"{NAME}.yaml"
    config.write_text(f"model:\n  none: 1\n{ORDERS!r}: 2\n", encoding="utf-8")
    for program, arguments, code in (
        (eval_main, [checkpoint, hostile], 2),
        (eval_main, [hostile.parent, hostile], 2),
        (eval_main, [hostile.parent / "other.jsonl", hostile], 0),
        (eval_main, [checkpoint, hostile, f"--{ORDERS}"], 2),
        (eval_entities, [hostile, "--errors"], 0),
        (train_main, [config], 2),
        (train_main, [f"{config}{ORDERS}"], 2),
    ):
        result = CliRunner().invoke(program, list(map(str, arguments)))
        assert not isinstance(result.exception, Exception), result.exception
        assert (result.exit_code, ordered(result.output)) == (code, set()), result.output


def test_training_logs_no_orders(tmp_path: Path) -> None:
    code = (
        "import logging, click, train\n"
        "@click.command(cls=train.Program)\n"
        "def main(): logging.getLogger('kayan.train').info('%s', 'read\\x1b[2J\\x9b2J')\n"
        "main()"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stderr.decode()
    assert told.splitlines() == ["read␛[2J\ufffd2J"]


def test_control_characters_become_visible() -> None:
    assert visible("فاس\x1b[2J\x9b\x7f\x00\r\n\tثم\r") == "فاس␛[2J\ufffd␡␀\n\tثم␍"
    assert visible("\udcff") == "\ufffd", "a byte of a file's name that is no UTF-8"


def test_a_unit_of_its_own_stays_on_its_line() -> None:
    assert isolate("فاس\nخطأ\x1b") == "\u2068فاس␊خطأ␛\u2069"
    assert isolated("PER\nerror") == "PER␊error"


def test_json_for_a_terminal_says_the_same() -> None:
    value = {"\x9b": ["\x1b", "\x7f\x80", "فاس"]}
    assert json.loads(to_json(value)) == value
    assert json.loads(to_json(value, indent=1)) == value
    assert ordered(to_json(value)) == set()
    assert "فاس" in to_json(value)


def test_warnings_and_errors_are_one_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> None:
        warnings.warn("left out: \x1b[2J", stacklevel=1)
        warnings.warn("of the machinery", DeprecationWarning, stacklevel=1)
        echo("one\x9b", over=True, nl=False)
        raise KeyError("\x1b")

    with pytest.raises(SystemExit, match="2"), reporting(KeyError):
        work()
    out, err = capsys.readouterr()
    assert (out, err) == ("\rone\ufffd", "warning: left out: ␛[2J\nerror: '\\x1b'\n")
    with pytest.raises(KeyError), reporting():
        raise KeyError("not said to be the input's fault")


def test_what_click_refuses_is_visible_too() -> None:
    @click.command(cls=Command)
    @click.argument("file", type=click.Choice(["a"]))
    def program(file: str) -> None:
        raise AssertionError(file)

    for arguments in (["\x1b[2J"], ["a", "\x1b[2J"], ["--\x1b[2J"]):
        result = CliRunner().invoke(program, arguments)
        assert (result.exit_code, ordered(result.output)) == (2, set())
        assert "␛[2J" in result.output.replace("\\x1b", "␛")
