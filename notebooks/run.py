"""`python -m notebooks.run [NOTEBOOK …]`: execute the notebooks and store their outputs, without what changes by itself."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpecManager
from nbclient import NotebookClient

FOLDER = Path(__file__).parent
TIMEOUT = 1200  # seconds a cell, for machines that do much else
_METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
# A number with its sign, and the blanks that align it in a table.
_NUMBER = re.compile(r"[ \t]*[+\-−]?\d(?:[\d.,]*\d)?[ \t]*")


def execute(path: Path) -> Any:
    """The notebook at `path` with fresh outputs, computed by a new kernel of the running interpreter in the notebook's
    folder. Raises `nbclient.exceptions.CellExecutionError` where a cell raises.

    Settings and kernels of the user's home are not looked at, and what the notebook writes to the temporary folder is
    removed.
    """
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as temporary:
        places = {"IPYTHONDIR": f"{temporary}/ipython", "TMPDIR": temporary, "HF_HUB_OFFLINE": "1"}
        # Jupyter has the widgets that tqdm misses in a bare kernel.
        places["PYTHONWARNINGS"] = "ignore:IProgress not found"
        # Without folders to look in, the manager knows one kernel: that of the running interpreter.
        manager = AsyncKernelManager(
            kernel_spec_manager=KernelSpecManager(kernel_dirs=[]),
            connection_file=f"{temporary}/kernel.json",
            transport="ipc",
        )
        client = NotebookClient(
            notebook,
            km=manager,
            timeout=TIMEOUT,
            coalesce_streams=True,
            resources={"metadata": {"path": str(path.parent)}},
        )
        client.owns_km = True  # it ends the kernel, too
        client.execute(env={**os.environ, **places})
    return clean(notebook)


def clean(notebook: Any) -> Any:
    """The notebook without metadata of runs and machines."""
    notebook.metadata = nbformat.from_dict(_METADATA)
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number}"
        cell.metadata = nbformat.from_dict({})
        for output in cell.get("outputs", []):
            if "metadata" in output:
                output.metadata = nbformat.from_dict({})
    return notebook


def shape(cell: Any) -> list[tuple[str, ...]]:
    """What must be the same in every run: for each output its kind, and of texts the words, with # for numbers.

    Pictures are compared by kind alone.
    """
    return [(output.output_type, *_told(output)) for output in cell.get("outputs", [])]


def _told(output: Any) -> Iterator[str]:
    if output.output_type == "stream":
        yield from (output.name, _NUMBER.sub("#", output.text))
    for kind, value in sorted(output.get("data", {}).items()):
        yield kind
        if not kind.startswith("image/"):
            yield _NUMBER.sub("#", value)


def main(names: list[str]) -> None:
    for path in map(Path, names) if names else sorted(FOLDER.glob("*.ipynb")):
        nbformat.write(execute(path), path)
        print(path.name)


if __name__ == "__main__":
    main(sys.argv[1:])
