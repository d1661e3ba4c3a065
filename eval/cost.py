"""What a checkpoint costs: seconds to load, parameters, disk, memory."""

from __future__ import annotations

import sys
import time
from typing import Any

from kayan.checkpoint import inspect, resolve
from kayan.runtime import require_torch
from kayan.tagger import Tagger


def load(name: str | None, device: str, threshold: float | None) -> tuple[Tagger, dict[str, Any]]:
    """The tagger and its `parameters`, `disk_megabytes` (10^6 bytes of the folder) and `load_seconds`, counted when
    PyTorch and transformers are imported. Raises as `Tagger.load` does."""
    folder = resolve(name)
    checkpoint = inspect(folder)
    require_torch()
    import kayan.model  # noqa: F401

    started = time.perf_counter()
    tagger = Tagger.load(folder, device=device, threshold=threshold)
    seconds = time.perf_counter() - started
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return tagger, {
        "parameters": checkpoint.parameters,
        "disk_megabytes": round(size / 1e6, 1),
        "load_seconds": round(seconds, 2),
    }


def peak_megabytes() -> float | None:
    """The most memory (10^6 bytes) that this process has held in RAM; None where the system does not say (Windows)."""
    try:
        import resource
    except ImportError:
        return None
    # Kilobytes on Linux, bytes on macOS.
    unit = 1 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6, 1)
