"""Checkpoints as files: one, or several with an index; what they hash to; and their tensors by name, flat."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from baselines import torch_files
from baselines.ast.config import unusual_grid
from baselines.torch_files import NOT_WEIGHTS_HINT
from bench.core.errors import WeightsError
from bench.core.files import file_sha256
from bench.core.text import echoed

if TYPE_CHECKING:
    from torch import Tensor

MAX_BYTES = 32 << 30
"""Of a file of weights: the largest published backbones have 8 GB, and optimiser states three times as much."""

INDEX_ENDING = ".index.json"
_MAX_INDEX_BYTES = 16 << 20
_ALL_SHARDS = "Fetch the folder again, with all shards and the index."
_PART = re.compile(r"-(\d+)-of-0*(?P<parts>\d+)\.(safetensors|bin)$")

_OTHER_FILES = {
    b"version https://git-lfs": "a pointer of Git LFS to the file (`git lfs pull` fetches it)",
    b"<": "a page of the web",
    b"\x89HDF": "an HDF5 file",
    b"GGUF": "a GGUF file",
    b"\x93NUMPY": "an array of NumPy",
    b"\x1f\x8b": "packed by gzip",
}
"""First bytes of files that are often given in place of weights, and what such files are."""

_LIMIT_OF_SHARED = 4
"""Bytes that a file's tensors may have together, in sizes of the file: tied weights are counted once for each name."""


def regular_file(path: Path) -> os.stat_result:
    """Check that a file of weights is a regular file of a possible size, and give its status.

    Raises:
        WeightsError: If there is none, it is no regular file (a device would never end), or it is too large to be one.
    """
    try:
        found = path.stat()
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or "it is no name of a file"
        raise WeightsError(f"Cannot read the weights {echoed(path, 300)}: {reason}.", "Check the path.") from error
    if not stat.S_ISREG(found.st_mode):
        raise WeightsError(f"The weights {path} are no regular file.", "Name a file of weights.")
    if found.st_size > MAX_BYTES:
        raise WeightsError(
            f"The weights {path} have {found.st_size:,} bytes, more than the {MAX_BYTES:,} that are read.",
            "Save the model's tensors alone.",
        )
    return found


def sha256(path: Path) -> str:
    """The SHA-256 of a file; once for each state of it that this process meets.

    Raises:
        WeightsError: If it cannot be read.
    """
    found = regular_file(path)
    return _sha256(path, found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


@functools.lru_cache(maxsize=64)
def _sha256(path: Path, *state: int) -> str:
    try:
        return file_sha256(path)
    except OSError as error:
        raise WeightsError(f"Cannot read {path}: {error.strerror}.", "Check its permissions.") from error


def fingerprint(path: Path) -> str:
    """The hash of all that decides what is read from a checkpoint.

    It is the SHA-256 of the file. Of a checkpoint in several files it is that of their names and hashes, with the
    index's. Where the ``config.json`` beside it brings a position grid that the file alone would not be read on, the
    grid is part of it.

    Raises:
        WeightsError: If a file is missing or cannot be read.
    """
    digest = sha256(path)
    if path.name.endswith(INDEX_ENDING):
        parts = "".join(f"{name} {sha256(path.parent / name)}\n" for name in sorted(set(_read_index(path).values())))
        digest = hashlib.sha256(f"{digest}\n{parts}".encode()).hexdigest()
    grid = unusual_grid(path)
    return digest if grid is None else hashlib.sha256(f"{digest}\n{grid[0]} x {grid[1]}\n".encode()).hexdigest()


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read a checkpoint into one flat dictionary; code in a file is never run.

    Wrappers are taken off: keys such as ``model`` (PANNs, Patch-Mix; Patch-Mix's ``classifier`` is kept under
    ``classifier.``), ``state_dict`` or ``module``, and what ``DataParallel``, ``torch.compile`` and FSDP put before
    names. Numbers of 8 bits (float8) become float32, which holds them exactly.

    Args:
        path: A safetensors file, one that ``torch.save`` wrote, or the index of several.

    Raises:
        WeightsError: If it is not such a file, is cut short, or holds objects other than tensors, or tensors that are
            not plain arrays of numbers.
    """
    from baselines.unwrapping import named_tensors

    if path.name.endswith(INDEX_ENDING):
        return _read_shards(path)
    size = regular_file(path).st_size
    part = _PART.search(path.name)
    if part is not None and int(part["parts"]) > 1:
        raise WeightsError(
            f"{path} is one shard of {int(part['parts']):,}, not the whole checkpoint.",
            f"Name the folder, or the index in it that ends in {INDEX_ENDING}.",
        )
    return _plain_tensors(named_tensors(_read_document(path), path), path, size)


def _read_document(path: Path) -> Any:
    try:
        with path.open("rb") as stream:
            start = stream.read(32)
    except OSError as error:
        raise WeightsError(f"Cannot read {path}: {error.strerror}.", "Check the path.") from error
    for beginning, kind in _OTHER_FILES.items():
        if start.startswith(beginning):
            raise WeightsError(f"{path} is no readable file of weights: it is {kind}.", NOT_WEIGHTS_HINT)
    # Safetensors begin with eight bytes of length, then a JSON object.
    if path.suffix == ".safetensors" or start[8:9] == b"{":
        return _read_safetensors(path)
    return torch_files.read_torch_file(path)


def _read_safetensors(path: Path) -> Any:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError, LookupError, TypeError, RuntimeError, MemoryError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise WeightsError(
            f"{path} is no readable safetensors file: {echoed(reason, 200)}.", NOT_WEIGHTS_HINT
        ) from error


def shard_names(index: Path) -> list[str]:
    """Names of the files that an index says a checkpoint is in, whether they lie beside it or not.

    Raises:
        WeightsError: If it is no such index, or names files outside its folder.
    """
    return sorted(set(_places(index).values()))


def _read_index(path: Path) -> dict[str, str]:
    """Which file of a checkpoint in several files (shards) has a tensor, by the index that Hugging Face writes.

    Raises:
        WeightsError: If it is no such index, names files outside its folder, or one is not there.
    """
    places = _places(path)
    for name in sorted(set(places.values())):
        if not (path.parent / name).is_file():
            raise WeightsError(f"The shard '{echoed(name)}' that {path} names is not there.", _ALL_SHARDS)
    return places


def _places(path: Path) -> dict[str, str]:
    try:
        with path.open("rb") as stream:
            content = stream.read(_MAX_INDEX_BYTES + 1)
        places = json.loads(content)["weight_map"] if len(content) <= _MAX_INDEX_BYTES else None
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        raise WeightsError(f"{path} is no readable index of shards: {echoed(error)}.", _ALL_SHARDS) from error
    if not isinstance(places, dict) or not places or not all(isinstance(name, str) for name in places.values()):
        raise WeightsError(f"{path} is no index of shards: it names no file for each tensor.", _ALL_SHARDS)
    for name in set(places.values()):
        if not name or name != Path(name).name or "\0" in name:
            raise WeightsError(f"{path} names a shard outside its folder: '{echoed(name)}'.", _ALL_SHARDS)
    return places


def _read_shards(path: Path) -> dict[str, Tensor]:
    from baselines.unwrapping import unwrapped_tensors

    places = _read_index(path)
    tensors: dict[str, Tensor] = {}
    for name in sorted(set(places.values())):
        shard = path.parent / name
        size = regular_file(shard).st_size
        document = _read_document(shard)
        wanted = [tensor for tensor, place in places.items() if place == name]
        missing = [tensor for tensor in wanted if not isinstance(document, Mapping) or tensor not in document]
        if missing:
            raise WeightsError(
                f"The shard {shard} does not hold '{echoed(missing[0])}', which {path.name} says is there.",
                "Bring the shards and the index of one checkpoint together.",
            )
        tensors |= _plain_tensors(
            unwrapped_tensors("", {tensor: document[tensor] for tensor in wanted}, shard), shard, size
        )
    return tensors


def _plain_tensors(named: Iterator[tuple[str, Tensor]], path: Path, size: int) -> dict[str, Tensor]:
    """Check what kind of tensors they are, and that they are no larger than the file.

    Raises:
        WeightsError: If one is not a plain array of numbers, two have one name, or sizes are announced that the file
            does not hold.
    """
    tensors: dict[str, Tensor] = {}
    total = 0
    for name, tensor in named:
        if name in tensors:
            raise WeightsError(f"{path} holds '{echoed(name)}' twice, under two prefixes.", NOT_WEIGHTS_HINT)
        kind = _odd_kind(tensor)
        if kind is not None:
            raise WeightsError(
                f"{path}: '{echoed(name)}' is {kind}, not a plain tensor.", "Save the model's tensors in float32."
            )
        total += tensor.numel() * tensor.element_size()
        if total > _LIMIT_OF_SHARED * size:
            raise WeightsError(f"{path} announces more numbers than it holds ('{echoed(name)}').", NOT_WEIGHTS_HINT)
        tensors[name] = _widened(name, tensor, path)
    if not tensors:
        raise WeightsError(f"{path} holds no tensors by name.", NOT_WEIGHTS_HINT)
    return tensors


def _odd_kind(tensor: Tensor) -> str | None:
    import torch

    kinds = {
        "a nested tensor": tensor.is_nested,
        "quantised": tensor.is_quantized,
        "sparse": tensor.layout != torch.strided,
        "a shape without numbers (on the device meta)": tensor.is_meta,
        "complex": tensor.is_complex(),
    }
    return next((kind for kind, found in kinds.items() if found), None)


def _widened(name: str, tensor: Tensor, path: Path) -> Tensor:
    """Eight-bit fractions as float32; torch computes with them as they are in no operation that a model needs."""
    import torch

    if not tensor.is_floating_point() or tensor.dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        return tensor
    try:
        return tensor.float()
    except RuntimeError as error:
        kind = str(tensor.dtype).removeprefix("torch.")
        raise WeightsError(
            f"{path}: '{echoed(name)}' is {kind}, which torch cannot widen.", "Save the model's tensors in float32."
        ) from error
