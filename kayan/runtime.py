"""The engines that compute logits, behind one call; PyTorch is the one there is."""

from __future__ import annotations

from typing import Any

import numpy as np

from kayan.checkpoint import Checkpoint

DTYPES = ("float32", "bfloat16", "float16")


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
            model, _ = load(checkpoint.path)
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
