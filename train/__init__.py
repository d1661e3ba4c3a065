"""Programs that make a checkpoint."""

import logging
import subprocess
from typing import Any

import click

from kayan.terminal import Command, visible


class Program(Command):
    """A command that logs its progress on standard error."""

    def invoke(self, ctx: click.Context) -> Any:
        handler = logging.StreamHandler()
        handler.setFormatter(_Formatter())
        logging.basicConfig(level=logging.INFO, handlers=[handler])
        for noisy in ("httpx", "datasets", "filelock", "fsspec"):
            logging.getLogger(noisy).setLevel(logging.WARNING)
        return super().invoke(ctx)


class Programs(Program):
    """A command that runs others."""

    also = (RuntimeError, subprocess.CalledProcessError)


class _Formatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return visible(super().format(record))
