"""Mutation testing by hand: `python -m tests.mutants decoding` lists the mutants of a module that its tests let live.

mutmut makes the mutants. They run in forks of one pytest session, collected once, on a copy of the tree: mutmut's own
runner starts pytest for each, and neither tests what a module does while it is imported nor counts the tests that share
a fixture made by a mutant.
"""

from __future__ import annotations

import argparse
import ast
import compileall
import difflib
import json
import os
import random
import resource
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from _pytest.runner import runtestprotocol
from hypothesis import HealthCheck, Phase, settings

TESTS = {
    "decoding": ["tests/test_decoding.py", "tests/test_encoding.py"],
    "encoding": ["tests/test_encoding.py"],
    "scoring": ["tests/test_scoring.py", "tests/test_significance.py"],
    "text": ["tests/test_text.py"],
}
EXAMPLES = 25  # of a property test, at most


def outcome(run: Callable[[], bool], seconds: float) -> str:
    """What a mutant comes to in a process of its own, which may take so many seconds of CPU more than this one."""
    pid = os.fork()
    if pid == 0:
        limit = int(time.process_time() + seconds) + 1
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 1))
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        alive = False
        try:
            alive = run()
        finally:
            os._exit(not alive)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return {0: "survived", 1: "killed"}.get(code, "timeout" if code < 0 else "killed")


class Session:
    """A pytest plugin that runs the collected tests once as they are, then against each mutant, the fastest first."""

    def __init__(self, names: list[str], hits: set[str], path: Path):
        self.names, self.hits, self.path = names, hits, path

    def pytest_runtestloop(self, session: pytest.Session) -> None:
        from mutmut.mutation.trampoline import set_mutant_under_test

        on_import = set(self.hits)
        set_mutant_under_test("")
        cost = {}
        for item, after in zip(session.items, [*session.items[1:], None], strict=True):
            if hasattr(item.obj, "hypothesis"):
                given = item.obj._hypothesis_internal_use_settings
                item.obj._hypothesis_internal_use_settings = settings(
                    given, max_examples=min(given.max_examples, EXAMPLES)
                )
            begin = time.process_time()
            for report in runtestprotocol(item, nextitem=after, log=False):
                if report.failed:
                    print(report.longreprtext, flush=True)
                    os._exit(1)
            cost[item] = time.process_time() - begin
        items = sorted(session.items, key=cost.__getitem__)
        found = {"": sorted(on_import)}

        def run() -> bool:
            set_mutant_under_test(name)
            pairs = zip(items, [*items[1:], None], strict=True)
            return not any(r.failed for pair in pairs for r in runtestprotocol(pair[0], nextitem=pair[1], log=False))

        for name in self.names:
            if function(name) not in on_import:
                found[name] = outcome(run, 5 + 5 * sum(cost.values()))
        self.path.write_text(json.dumps(found), encoding="utf-8")
        os._exit(0)


def function(name: str) -> str:
    return name.rpartition("__mutmut_")[0]


def survey(module: str, sample: int | None) -> dict[str, str]:
    """What each mutant of the module comes to, or `sample` of them; the working directory is a copy of the tree."""
    from mutmut.mutation import trampoline
    from mutmut.mutation.file_mutation import mutate_file_contents

    target = Path("kayan", f"{module}.py")
    made = mutate_file_contents(str(target), target.read_text(encoding="utf-8"))
    target.write_text(made.code, encoding="utf-8")
    compileall.compile_file(str(target), quiet=1)
    names = [f"kayan.{module}.{name}" for name in made.mutant_names]
    if sample is not None:
        names = random.Random(0).sample(names, min(sample, len(names)))
    # The slow packages are imported once, nothing of kayan is.
    for package in ("tokenizers", *(["evaluate", "seqeval.metrics", "nervaluate"] if module == "scoring" else [])):
        __import__(package)
    settings.register_profile(
        "mutants",
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    settings.load_profile("mutants")
    arguments = [
        "-q",
        "-x",
        "--tb=native",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:warnings",
        "--rootdir=.",
        *TESTS[module],
    ]
    hits: set[str] = set()
    path = Path("outcomes.json")
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        trampoline.record_trampoline_hit = lambda name, caller=None: hits.add(name)
        trampoline.set_mutant_under_test("stats")
        pytest.main(arguments, plugins=[Session(names, hits, path)])
        os._exit(1)
    if os.waitpid(pid, 0)[1]:
        raise SystemExit("the tests fail without a mutant")
    found = json.loads(path.read_text(encoding="utf-8"))
    on_import = found.pop("")

    def run() -> bool:
        trampoline.set_mutant_under_test(name)
        return pytest.main(arguments) == 0

    for name in names:
        if function(name) in on_import:
            found[name] = outcome(run, 120)
    return found


def difference(name: str, lines: list[str], functions: dict[str, tuple[int, int]]) -> list[str]:
    """The lines that a mutant takes away and puts in."""
    short = name.rpartition(".")[2]
    old, new = (lines[slice(*functions[key])] for key in (f"{function(short)}__mutmut_orig", short))
    return [line for line in difflib.unified_diff(old[1:], new[1:], n=0, lineterm="") if line[:3] not in ("---", "+++")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("module", choices=TESTS)
    parser.add_argument("--sample", type=int, help="so many mutants, drawn with the seed 0")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        ignored = shutil.ignore_patterns("__pycache__", "*.safetensors", "*.onnx")
        for part in ("kayan", "eval", "tests"):
            shutil.copytree(part, Path(folder, part), ignore=ignored)
        shutil.copy("pyproject.toml", folder)
        Path(folder, "setup.cfg").write_text("[mutmut]\nsource_paths = kayan\n")
        os.chdir(folder)
        sys.path[:] = [folder, *(entry for entry in sys.path if entry and not Path(entry, "kayan").exists())]
        for loaded in [key for key in sys.modules if key.partition(".")[0] in ("kayan", "eval", "tests")]:
            del sys.modules[loaded]
        found = survey(options.module, options.sample)
        source = Path("kayan", f"{options.module}.py").read_text(encoding="utf-8")
        defined: list[Any] = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)]
        functions = {node.name: (node.lineno - 1, node.end_lineno) for node in defined}
        for name in (name for name, state in found.items() if state == "survived"):
            print(name, *difference(name, source.splitlines(), functions), sep="\n    ")
        os.chdir("/")
    tally = Counter(found.values())
    killed = tally["killed"] + tally["timeout"]
    print(f"{options.module}: {killed} of {len(found)} killed, {killed / len(found):.1%} ({tally['timeout']} timeouts)")


if __name__ == "__main__":
    main()
