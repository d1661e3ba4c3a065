"""A checkpoint as an ONNX graph beside its weights, for a machine without PyTorch: `export` writes it."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import logging
import struct
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open

from kayan.checkpoint import PROCLITIC_FILE, Checkpoint, CheckpointError, weights_digest
from kayan.formats import replacing_bytes
from kayan.runtime import ONNX_FILES, require_torch

# Numbers in a tensor from which it is read from the checkpoint's own weights; smaller ones stand in the graph.
_LARGE = 256
# Block of weights with a scale of its own, and of activations too: the answer for a row does not depend on the batch.
_BLOCK = 128


def export(checkpoint: Checkpoint, kinds: Sequence[str] = ("onnx",)) -> list[Path]:
    """Write graphs into the checkpoint's folder, `model.onnx` for "onnx", `model.int8.onnx` for "onnx-int8"; their paths.

    A graph takes input ids and attention mask, int64 (rows, sub-words), and gives the logits of the tags and of the
    particle counts, float32. It holds no weights: it reads them where they lie in the safetensors files, so that both must
    stay together. In an int8 graph the matrices are 8-bit integers, in blocks of 128 with a scale each, and so are their
    inputs when they are multiplied (ONNX Runtime's MatMulNBits, accuracy level 4).
    Raises `ImportError` naming the extra, `CheckpointError` for a model that PyTorch cannot export.
    """
    torch = require_torch()
    try:
        import onnx
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ImportError(f"{error.name} is not installed: exporting needs it: pip install 'kayan[export]'") from None
    traced = _traced(torch, checkpoint).SerializeToString()
    stored = _stored(checkpoint)
    paths = []
    for kind in kinds:
        model = onnx.load_from_string(traced)
        if kind == "onnx-int8":
            model = _quantised(model)
        _refer(model, stored)
        _strip(model)
        about = {"weights": weights_digest(checkpoint.path), "tags": list(checkpoint.policy.schema.tags)}
        onnx.helper.set_model_props(model, {"kayan": json.dumps(about)})
        target = checkpoint.path / ONNX_FILES[kind]
        with replacing_bytes(target) as file:
            file.write(model.SerializeToString())
        paths.append(target)
    return paths


def _traced(torch: Any, checkpoint: Checkpoint) -> Any:
    from kayan.model import load

    model, policy = load(checkpoint)
    names = ["logits", "particle_logits"] if policy.proclitics else ["logits"]

    class Outputs(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, input_ids: Any, attention_mask: Any) -> Any:
            output = self.model(input_ids, attention_mask)
            return tuple(output[name] for name in names)

    ids = torch.full((2, 16), 5, dtype=torch.int64)
    dynamic = {0: torch.export.Dim("rows", min=1), 1: torch.export.Dim("pieces", min=3, max=policy.text.window)}
    try:
        with _silent():
            program = torch.onnx.export(
                Outputs().eval(),
                (ids, torch.ones_like(ids)),
                dynamo=True,
                dynamic_shapes=(dynamic, dynamic),
                input_names=["input_ids", "attention_mask"],
                output_names=names,
                optimize=True,
                verbose=False,
            )
    except Exception as error:
        reason = str(error).strip().splitlines()
        raise CheckpointError(f"{checkpoint.path} cannot be exported: {reason[0] if reason else error!r}") from None
    return program.model_proto


def _quantised(graph: Any) -> Any:
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

    logging.getLogger("onnxruntime.quantization.matmul_nbits_quantizer").setLevel(logging.WARNING)
    quantizer = MatMulNBitsQuantizer(graph, bits=8, block_size=_BLOCK, is_symmetric=True, accuracy_level=4)
    quantizer.process()
    return quantizer.model.model


def _stored(checkpoint: Checkpoint) -> dict[bytes, tuple[str, str, int, int, tuple[int, ...]]]:
    """The tensors of the weights by a digest of their float32 values: file, type, where the bytes begin in the file, how
    many they are, shape."""
    found = {}
    for path in [*sorted(checkpoint.path.glob("model*.safetensors")), checkpoint.path / PROCLITIC_FILE]:
        if not path.is_file():
            continue
        with path.open("rb") as file:
            size = struct.unpack("<Q", file.read(8))[0]
            header = json.loads(file.read(size))
        with safe_open(path, framework="np") as tensors:
            for name, entry in header.items():
                if name == "__metadata__" or entry["dtype"] not in ("F16", "F32"):
                    continue
                start, end = entry["data_offsets"]
                values = _digest(tensors.get_tensor(name).astype(np.float32))
                found[values] = (path.name, entry["dtype"], 8 + size + start, end - start, tuple(entry["shape"]))
    return found


def _digest(values: np.ndarray) -> bytes:
    return hashlib.sha256(repr(values.shape).encode() + np.ascontiguousarray(values).tobytes()).digest()


def _refer(model: Any, stored: dict[bytes, tuple[str, str, int, int, tuple[int, ...]]]) -> None:
    """Put the place of the stored tensor, made float32 and turned where the graph wants that, for every large constant."""
    from onnx import TensorProto, helper, numpy_helper

    nodes = []
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.size < _LARGE or values.dtype != np.float32:
            continue
        turned = False
        place = stored.get(_digest(values))
        if place is None and values.ndim == 2:
            place, turned = stored.get(_digest(values.T)), True
        if place is None:
            continue
        file, kind, offset, length, shape = place
        name, final = f"{tensor.name}.stored", tensor.name
        tensor.Clear()
        tensor.name = name
        tensor.data_type = TensorProto.FLOAT16 if kind == "F16" else TensorProto.FLOAT
        tensor.dims.extend(shape)
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (("location", file), ("offset", offset), ("length", length)):
            entry = tensor.external_data.add()
            entry.key, entry.value = key, str(value)
        middle = f"{final}.float" if turned else final
        nodes.append(helper.make_node("Cast", [name], [middle], to=TensorProto.FLOAT))
        if turned:
            nodes.append(helper.make_node("Transpose", [middle], [final], perm=[1, 0]))
    rest = list(model.graph.node)
    model.graph.ClearField("node")
    model.graph.node.extend([*nodes, *rest])


def _strip(model: Any) -> None:
    """Leave out what only explains the graph, paths of source files above all."""
    for node in model.graph.node:
        node.ClearField("metadata_props")
        node.ClearField("doc_string")
    for value in [*model.graph.input, *model.graph.output]:
        value.ClearField("metadata_props")
    model.graph.ClearField("value_info")
    model.graph.ClearField("metadata_props")
    model.ClearField("metadata_props")


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Without the exporter's remarks on libraries that are not there and on names of axes."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.onnx._internal.exporter", "onnxscript")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
