import copy
import re
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("nbformat")
pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")

import nbformat
from nbclient.exceptions import CellExecutionError

from notebooks.run import FOLDER, clean, execute, shape

NOTEBOOKS = pytest.mark.parametrize("path", sorted(FOLDER.glob("*.ipynb")), ids=lambda path: path.stem)
LARGEST, LINES = 150_000, 16


def read(path: Path) -> Any:
    return nbformat.read(path, as_version=4)


def written(folder: Path, *sources: str) -> Path:
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), folder / "tiny.ipynb")
    return folder / "tiny.ipynb"


@NOTEBOOKS
def test_a_notebook_says_what_it_is_for(path: Path) -> None:
    first, *rest = read(path).cells
    assert first.source.startswith(f"# {int(path.stem[:2])} · ")
    assert "**You learn**" in first.source
    assert "**It needs**" in first.source
    assert max(len(cell.source.splitlines()) for cell in rest) <= LINES


@NOTEBOOKS
def test_a_notebook_is_stored_with_outputs_and_nothing_of_the_machine(path: Path) -> None:
    notebook = read(path)
    nbformat.validate(notebook)
    assert path.stat().st_size < LARGEST
    assert notebook == clean(copy.deepcopy(notebook))
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    told = [piece for cell in code for output in shape(cell) for piece in output]
    assert any(piece.startswith("image/") for piece in told)
    assert "stderr" not in told
    assert not re.search(r"(?<![\w.])/(home|root|tmp|usr|var|opt|Users)/|Warning|<progress", "\n".join(told))


@NOTEBOOKS
def test_a_notebook_runs_and_gives_what_is_stored(path: Path) -> None:
    for stored, fresh in zip(read(path).cells, execute(path).cells, strict=True):
        assert shape(fresh) == shape(stored), f"`make notebooks` stores it anew:\n{stored.source}"


def test_numbers_and_pictures_may_differ_and_nothing_else() -> None:
    def told(text: str) -> Any:
        return shape({"outputs": [nbformat.v4.new_output("stream", name="stdout", text=text)]})

    assert told("F1   0.913 (-1.5)\n") == told("F1 1 (+2)\n")
    assert told("F1 0.9\n") != told("recall 0.9\n")
    assert told("F1 0.9\n") != []
    pictures = [nbformat.v4.new_output("display_data", {"image/png": data, "text/plain": "x"}) for data in ("A", "B")]
    assert shape({"outputs": pictures[:1]}) == shape({"outputs": pictures[1:]})
    assert shape({"outputs": pictures}) != shape({"outputs": pictures[1:]})


def test_the_kernel_is_the_running_interpreter_and_leaves_nothing(tmp_path: Path) -> None:
    path = written(tmp_path, "import sys, tempfile\nopen(tempfile.mkstemp()[1], 'w').write('x')\nprint(sys.executable)")
    assert execute(path).cells[0].outputs[0].text.strip() == sys.executable
    assert [file.name for file in tmp_path.iterdir()] == ["tiny.ipynb"]


def test_a_cell_that_raises_is_told(tmp_path: Path) -> None:
    with pytest.raises(CellExecutionError, match="no such thing"):
        execute(written(tmp_path, "raise ValueError('no such thing')"))
