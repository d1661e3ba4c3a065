"""Rules of the house that a program can check."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = sorted(path for room in ("kayan", "train", "eval") for path in (ROOT / room).rglob("*.py"))


def imports(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}
    names |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    return {name.split(".")[0] for name in names}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_rooms_import_only_what_they_may(path: Path) -> None:
    room = path.relative_to(ROOT).parts[0]
    forbidden = {"kayan": {"train", "eval"}, "train": {"eval"}, "eval": {"train"}}[room]
    assert not imports(path) & forbidden


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_is_printed_past_the_check_for_control_characters(path: Path) -> None:
    calls = [
        ast.unparse(node.func) for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call)
    ]
    assert path.name == "terminal.py" or not {"print", "click.echo", "click.secho"} & {*calls}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_module_says_what_it_is_for(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert not source.strip() or ast.get_docstring(ast.parse(source))


def test_the_map_names_every_module() -> None:
    described = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for path in MODULES:
        if path.name not in ("__init__.py", "__main__.py"):
            name = f"`kayan/{path.name}`" if path.parent.name == "kayan" else f"`{path.stem}`"
            assert name in described, f"{path} is missing from the map"


def test_files_that_the_readme_names_exist() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for name in re.findall(r"`((?:configs|data|kayan|notebooks|train|eval)/[\w./-]+)`", readme):
        assert (ROOT / name).exists(), name
