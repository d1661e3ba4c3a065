"""The web service behind real sockets and as a process: slow clients, signals, the command."""

import contextlib
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("prometheus_client")

from click.testing import CliRunner

from kayan import wire
from kayan.cli import main
from kayan.server import Connection, Settings, create_app, run
from tests.serving import POLICY, TEXT, Quick, quick, soon

__all__ = ["quick"]  # the fixture


@pytest.fixture
def server(quick: Quick) -> Iterator[Callable[..., str]]:
    """Starts services behind real sockets and gives their host and port."""
    ended: list[tuple[Any, threading.Thread]] = []

    def start(**settings: Any) -> tuple[str, int]:
        chosen = Settings(port=0, **{"batch_wait_ms": 0, **settings})
        app = create_app(POLICY, lambda: quick, chosen)
        thread = threading.Thread(target=run, args=(app, chosen), daemon=True)
        thread.start()
        soon(lambda: app.state.batcher.ready and hasattr(app.state, "url"))
        ended.append((app, thread))
        host, port = app.state.url.removeprefix("http://").split(":")
        return host, int(port)

    yield start  # type: ignore[misc]
    quick.gate.set()
    for app, thread in ended:
        app.state.stop()
        thread.join(20)
        assert not thread.is_alive()


def asked(address: tuple[str, int], text: str = TEXT) -> bytes:
    """The answer to one request over a socket of its own."""
    with sent(address, text) as connection:
        return received(connection)


def sent(address: tuple[str, int], text: str = TEXT, whole: bool = True) -> socket.socket:
    connection = socket.create_connection(address, 20)
    body = text.encode()
    head = "POST /v1/tag HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nConnection: close\r\n"
    connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + (body if whole else body[:3]))
    return connection


def received(connection: socket.socket) -> bytes:
    parts = []
    while part := connection.recv(65536):
        parts.append(part)
    return b"".join(parts)


def test_slow_clients_are_let_go_and_hurt_nobody(
    server: Callable[..., tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "PATIENCE", 1.0)
    address = server()
    silent = socket.create_connection(address, 20)
    half_head = socket.create_connection(address, 20)
    half_head.sendall(b"POST /v1/tag HTTP/1.1\r\nHost:")
    half_body = sent(address, whole=False)
    assert asked(address).startswith(b"HTTP/1.1 200")
    assert received(half_body).startswith(b"HTTP/1.1 408")
    for connection in (silent, half_head):
        with contextlib.suppress(ConnectionResetError):
            assert received(connection) == b""
    assert asked(address).startswith(b"HTTP/1.1 200")


def test_an_answer_that_nobody_reads_is_given_up(
    server: Callable[..., tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    lost, lose = threading.Event(), Connection.connection_lost

    def losing(self: Connection, error: Exception | None) -> None:
        lose(self, error)
        lost.set()

    monkeypatch.setattr(wire, "PATIENCE", 1.0)
    monkeypatch.setattr(Connection, "connection_lost", losing)
    address = server(threshold=0, max_characters=1_000_000)
    with sent(
        address, "طنجة " * 100_000
    ) as connection:  # some 9 MB are answered, more than a system holds for a client
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        assert connection.recv(12) == b"HTTP/1.1 200"
        assert not lost.is_set()
        assert lost.wait(10)


def test_what_nobody_waits_for_any_more_is_not_tagged(
    server: Callable[..., tuple[str, int]], quick: Quick, caplog: pytest.LogCaptureFixture
) -> None:
    address = server()
    quick.gate.clear()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(asked, address, "أول")
        assert quick.begun.wait(20)
        sent(address, "راحل").close()
        time.sleep(0.3)
        quick.gate.set()
        assert first.result().startswith(b"HTTP/1.1 200")
    assert asked(address, "ثالث").startswith(b"HTTP/1.1 200")
    assert [text for batch in quick.batches for text in batch] == ["أول", "ثالث"]
    assert [record.getMessage() for record in caplog.records if record.levelno > logging.INFO] == []


def test_a_body_that_is_too_large_gets_its_answer_before_it_is_sent(server: Callable[..., tuple[str, int]]) -> None:
    address = server(max_bytes=100)
    with socket.create_connection(address, 20) as connection:
        connection.sendall(
            b"POST /v1/tag HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 99999999\r\n\r\n"
        )
        assert connection.recv(12) == b"HTTP/1.1 413"


SLOW = """
import sys, time
from kayan.server import Connection, Settings, create_app, run
from tests.serving import POLICY, Quick

def load():
    quick = Quick()
    def slow(documents):
        print("begun", flush=True)
        time.sleep(1)
        return quick(documents)
    return slow

settings = Settings(port=0, batch_wait_ms=0)
run(create_app(POLICY, load, settings), settings)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_service_once_requests_are_answered(number: signal.Signals) -> None:
    root = Path(__file__).parent.parent
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW], cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout
    assert process.stderr
    url = json.loads(process.stderr.readline())["url"]
    address = ("127.0.0.1", int(url.rsplit(":", 1)[1]))
    with ThreadPoolExecutor(1) as pool:

        def patient() -> bytes:
            while (answer := asked(address)).startswith(b"HTTP/1.1 503"):
                time.sleep(0.05)
            return answer

        answer = pool.submit(patient)
        assert process.stdout.readline() == "begun\n"
        idle = socket.create_connection(address, 20)
        process.send_signal(number)
        assert answer.result(20).startswith(b"HTTP/1.1 200"), "what was under way is answered"
        assert process.wait(20) == 0
        idle.close()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address, 20)
    for line in process.stderr.read().splitlines():
        assert json.loads(line)["level"] == "info", line


def test_a_checkpoint_or_address_that_cannot_be_had_is_one_line(tmp_path: Path, checkpoint: Path) -> None:
    for options, message in (
        (["--model", str(tmp_path / "none")], "is no checkpoint folder"),
        (["--timeout", "0"], "timeout must be a number of seconds over 0"),
        (["--model", str(checkpoint), "--host", "256.0.0.1"], "256.0.0.1:8000 cannot be listened on"),
        (["--model", str(checkpoint), "--port", "0", "--device", "quantum"], "device 'quantum' cannot be used"),
    ):
        result = CliRunner().invoke(main, ["serve", *options])
        assert result.exit_code == 2, result.output
        [line] = [line for line in result.output.splitlines() if not line.startswith("{")]
        assert line.startswith("error: ")
        assert message in line


def test_the_command_serves_a_checkpoint(checkpoint: Path) -> None:
    command = [
        sys.executable,
        "-c",
        "from kayan.cli import main; main()",
        "serve",
        "--model",
        str(checkpoint),
        "--port",
        "0",
    ]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, cwd=Path(__file__).parent.parent, env={**os.environ, "LC_ALL": "C"}
    )
    assert process.stderr
    try:
        url = json.loads(process.stderr.readline())["url"]
        address = ("127.0.0.1", int(url.rsplit(":", 1)[1]))
        soon(lambda: asked(address).startswith(b"HTTP/1.1 200"), 60)
        answer = asked(address)
    finally:
        process.terminate()
        assert process.wait(60) == 0
    spans = json.loads(answer.partition(b"\r\n\r\n")[2])["spans"]
    assert all(TEXT[span["start"] : span["end"]] == span["text"] for span in spans)
