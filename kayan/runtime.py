"""The engines that compute logits, PyTorch and ONNX Runtime, behind one call, and the choice between them."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import platform
import shutil
from typing import Any

import numpy as np

from kayan.checkpoint import Checkpoint, CheckpointError, weights_digest

DTYPES = ("float32", "bfloat16", "float16")
RUNTIMES = ("auto", "torch", "onnx", "onnx-int8")
ONNX_FILES = {"onnx": "model.onnx", "onnx-int8": "model.int8.onnx"}


def choose(
    checkpoint: Checkpoint, runtime: str = "auto", device: str = "auto", dtype: str = "float32"
) -> tuple[str, str]:
    """The engine for a checkpoint, "torch", "onnx" or "onnx-int8", and the reason in words.

    "auto" takes ONNX Runtime where it is installed, the checkpoint has a graph for it, and the processor computes in
    float32: it is there at once and gives the same answers. PyTorch serves everything else. Raises `ValueError` for an
    unknown name, and for a device or dtype that ONNX Runtime does not serve here.
    """
    if runtime not in RUNTIMES:
        raise ValueError(f"runtime must be one of {', '.join(RUNTIMES)}, not {runtime!r}")
    if runtime == "torch":
        return "torch", "asked for"
    if runtime != "auto":
        if device not in ("auto", "cpu") or dtype != "float32":
            raise ValueError(
                f"runtime {runtime!r} computes on the processor in float32, not on {device!r} in {dtype!r}"
            )
        return runtime, "asked for"
    if not _installed("onnxruntime"):
        return "torch", "ONNX Runtime is not installed"
    if not (checkpoint.path / ONNX_FILES["onnx"]).is_file():
        return "torch", "the checkpoint has no model.onnx (kayan export makes it)"
    if dtype != "float32":
        return "torch", f"{dtype} is asked for"
    if device not in ("auto", "cpu"):
        return "torch", f"the device {device!r} is asked for"
    if device == "auto" and _accelerated():
        return "torch", "there may be an accelerator"
    return "onnx", "ONNX Runtime is installed, and the processor computes in float32"


def open_runtime(
    checkpoint: Checkpoint, runtime: str = "auto", device: str = "auto", dtype: str = "float32"
) -> TorchRuntime | OnnxRuntime:
    """The engine that `choose` names, with the checkpoint loaded."""
    name, _ = choose(checkpoint, runtime, device, dtype)
    if name == "torch":
        return TorchRuntime(checkpoint, device, dtype)
    return OnnxRuntime(checkpoint, name)


def _installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _accelerated() -> bool:
    """Whether PyTorch, where it is installed, may find an accelerator; told without importing it."""
    apple = platform.system() == "Darwin" and platform.machine() == "arm64"
    return _installed("torch") and (apple or shutil.which("nvidia-smi") is not None)


class OnnxRuntime:
    """A checkpoint on ONNX Runtime, by the graph that `kayan.export` put beside its weights; needs no PyTorch.

    Raises `ImportError` naming the extra, `CheckpointError` for a missing graph, one of other weights, or one that ONNX
    Runtime refuses.
    """

    def __init__(self, checkpoint: Checkpoint, kind: str = "onnx"):
        try:
            import onnxruntime
        except ImportError:
            raise ImportError("onnxruntime is not installed: install it with: pip install 'kayan[onnx]'") from None
        file = checkpoint.path / ONNX_FILES[kind]
        make = f"make it with: kayan export --model {checkpoint.path} --{kind.removeprefix('onnx-')}"
        if not file.is_file():
            raise CheckpointError(f"{checkpoint.path} has no {file.name}; {make}")
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        try:
            self.session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's own errors share no class
            raise CheckpointError(f"{file} cannot be opened: {str(error).splitlines()[0]}") from None
        try:
            known = json.loads(self.session.get_modelmeta().custom_metadata_map["kayan"])
            weights, tags = known["weights"], tuple(known["tags"])
        except (KeyError, TypeError, ValueError, RecursionError):
            raise CheckpointError(f"{file} does not say which weights it belongs to; {make}") from None
        if weights != weights_digest(checkpoint.path) or tags != checkpoint.policy.schema.tags:
            raise CheckpointError(f"{file} was made from other weights than those beside it; {make}")

    def __call__(self, ids: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """As `TorchRuntime.__call__`."""
        tags, *particles = self.session.run(None, {"input_ids": ids, "attention_mask": mask})
        return tags, particles[0] if particles else None


class TorchRuntime:
    """A checkpoint on PyTorch.

    device: "auto" takes CUDA, then Apple's MPS, then the CPU. dtype: one of `DTYPES`; float32 gives the same logits
    whatever shares the batch. Raises `ImportError` naming the extra where PyTorch or transformers is missing,
    `ValueError` for an unknown device or dtype, `CheckpointError` for a checkpoint that does not load.
    """

    def __init__(self, checkpoint: Checkpoint, device: str = "auto", dtype: str = "float32"):
        torch = require_torch()
        from kayan.model import load

        if dtype not in DTYPES:
            raise ValueError(f"dtype must be one of {', '.join(DTYPES)}, not {dtype!r}")
        if device == "auto":
            mps = torch.backends.mps.is_available()
            device = "cuda" if torch.cuda.is_available() else "mps" if mps else "cpu"
        try:
            self.device = torch.device(device)
            model, _ = load(checkpoint)
            self.model = model.to(self.device, getattr(torch, dtype))
        except RuntimeError as error:
            raise ValueError(f"device {device!r} cannot be used: {str(error).splitlines()[0]}") from None

    def __call__(self, ids: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Tag logits (rows, sub-words, tags) and particle logits (rows, sub-words, 4) or None, both float32, for int64
        input ids and attention mask (rows, sub-words)."""
        import torch

        with torch.inference_mode():
            output = self.model(torch.from_numpy(ids).to(self.device), torch.from_numpy(mask).to(self.device))
        particles = output.get("particle_logits")
        return (
            output["logits"].float().cpu().numpy(),
            None if particles is None else particles.float().cpu().numpy(),
        )


def describe(
    checkpoint: Checkpoint, runtime: str = "auto", device: str = "auto", dtype: str = "float32"
) -> list[tuple[str, str]]:
    """What computes here and why, as pairs of a name and what is said of it."""
    rows = [
        ("python", f"{platform.python_version()}, {platform.system()} {platform.machine()}, {os.cpu_count()} cores")
    ]
    packages = versions("torch", "transformers", "onnxruntime", "tokenizers", "numpy")
    rows += [(package, version or "not installed") for package, version in packages.items()]
    if _installed("torch"):
        import torch

        rows.append(("accelerator", _accelerator(torch) or "none that PyTorch can use"))
        fast = "yes" if bf16_is_fast() else "no: training and --dtype bfloat16 would gain nothing"
        rows.append(("bfloat16", f"multiplied in hardware: {fast}"))
    graphs = [name for name in ONNX_FILES.values() if (checkpoint.path / name).is_file()]
    rows.append(
        (
            "checkpoint",
            f"{checkpoint.path}, {checkpoint.parameters:,} parameters, graphs: {', '.join(graphs) or 'none'}",
        )
    )
    name, reason = choose(checkpoint, runtime, device, dtype)
    rows.append(("runtime", f"{name}: {reason}"))
    return rows


def versions(*packages: str) -> dict[str, str | None]:
    """The versions of packages, None of one that is not installed."""
    found: dict[str, str | None] = {}
    for package in packages:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = None
    return found


def _accelerator(torch: Any) -> str:
    if torch.cuda.is_available():
        return f"{torch.cuda.get_device_name(0)}, CUDA {torch.version.cuda}"
    return "Apple MPS" if torch.backends.mps.is_available() else ""


def bf16_is_fast() -> bool:
    """Whether the accelerator, or without one the processor, multiplies bfloat16 matrices in hardware."""
    torch = require_torch()
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    return any(getattr(torch.cpu, name, bool)() for name in capabilities)


def require_torch() -> Any:
    """The torch module; ImportError naming the extra where it or transformers is missing."""
    try:
        import torch
        import transformers  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f"{error.name} is not installed: using a model needs a runtime, install one with: pip install 'kayan[torch]'"
        ) from None
    return torch
