"""Pretrained weights as files: finding them by name, file, folder or URL, and reading them safely."""

from __future__ import annotations

import argparse
import pickle
import struct
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from baselines.downloads import SCHEMES, LocatedWeights, fetch, one_line, sha256
from bench.cards import ModelCard, WeightsCard
from bench.errors import WeightsError
from bench.registry import suggestion

if TYPE_CHECKING:
    from torch import Tensor

_NOT_WEIGHTS_HINT = (
    "Give a .safetensors file, or a file that torch.save wrote from tensors alone; fetch it again if it was cut short."
)
_FILE_ENDINGS = (".pth", ".pt", ".bin", ".ckpt", ".safetensors", ".tar")
_NAMES_IN_A_FOLDER = ("model.safetensors", "pytorch_model.bin")
"""What a folder of the Hugging Face hub's libraries calls its weights; the first that is there is read."""


def locate(card: ModelCard, pretrain: str, cache: Path) -> LocatedWeights | None:
    """Find the weights that a user asks for, and fetch them if they are not there.

    Args:
        card: The model's card.
        pretrain: ``none``, a name on the card, a file, a folder that a Hugging Face library saved, a URL, or a name
            on the hub or of torchvision (see :func:`baselines.downloads.remote`).
        cache: The cache folder; downloads are kept in ``weights`` below it.

    Returns:
        The file, or ``None`` for ``none``.

    Raises:
        WeightsError: If there is no such name or file, or it cannot be fetched.
    """
    if pretrain == "none":
        return None
    if pretrain in card.weights:
        known = card.weights[pretrain]
        return fetch(known.location, _checksum(known), cache / "weights")
    if pretrain.startswith(SCHEMES):
        return fetch(pretrain, "", cache / "weights")
    path = Path(pretrain).expanduser()
    if path.is_dir():
        path = _file_in(path)
    if path.is_file():
        return LocatedWeights(path, sha256(path))
    raise _not_found(card, pretrain, path)


def _checksum(known: WeightsCard) -> str:
    if known.sha256:
        return f"sha256:{known.sha256}"
    return f"md5:{known.md5}" if known.md5 else ""


def _file_in(folder: Path) -> Path:
    found = next((folder / name for name in _NAMES_IN_A_FOLDER if (folder / name).is_file()), None)
    if found is None:
        names = " or ".join(_NAMES_IN_A_FOLDER)
        raise WeightsError(f"The folder {folder} holds no {names}.", "Name the file of weights inside it.")
    return found


def _not_found(card: ModelCard, pretrain: str, path: Path) -> WeightsError:
    names = ("none", *card.weights)
    if "/" in pretrain or pretrain.endswith(_FILE_ENDINGS):
        return WeightsError(f"There is no file of weights {path}.", "Check the path.")
    return WeightsError(
        f"Model '{card.id}' has no pretrained weights '{pretrain}': {suggestion(pretrain, names)}",
        f"Use one of {', '.join(names)}, or a file or URL of weights.",
    )


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read a file of weights into one flat dictionary; code in a file is never run.

    Wrappers are taken off: ``{'model': ...}`` (PANNs, Patch-Mix; Patch-Mix's ``classifier`` is kept under
    ``classifier.``), ``{'state_dict': ...}``, and the prefix ``module.`` of ``DataParallel``.

    Args:
        path: A safetensors file, or one that ``torch.save`` wrote.

    Raises:
        WeightsError: If it is not such a file, is cut short, or holds objects other than tensors.
    """
    document = _read_safetensors(path) if _is_safetensors(path) else _read_torch(path)
    return dict(_flat(document, path))


def _is_safetensors(path: Path) -> bool:
    """Whether a file begins as safetensors do: eight bytes of length, then a JSON object."""
    try:
        with path.open("rb") as stream:
            return path.suffix == ".safetensors" or stream.read(9)[8:] == b"{"
    except OSError as error:
        raise WeightsError(f"Cannot read {path}: {error.strerror}.", "Check the path.") from error


def _read_safetensors(path: Path) -> Any:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise WeightsError(f"{path} is no readable safetensors file: {one_line(error)}.", _NOT_WEIGHTS_HINT) from error


# What torch.load raises on files that are not its own or are cut short; it promises no single class.
_TORCH_FAULTS = (
    pickle.UnpicklingError,
    struct.error,
    RuntimeError,
    EOFError,
    OSError,
    ValueError,
    LookupError,
    AttributeError,
    TypeError,
    ImportError,
    AssertionError,
)


def _read_torch(path: Path) -> Any:
    import torch

    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(_harmless()):
            warnings.simplefilter("ignore")  # guesses on what a file is that turns out to be none of ours
            return torch.load(path, map_location="cpu", weights_only=True)
    except _TORCH_FAULTS as error:
        # The unpickler's own words advise to run the file's code.
        refused = isinstance(error, pickle.UnpicklingError)
        reason = (
            "it holds code or objects other than tensors, or was not written by torch" if refused else one_line(error)
        )
        raise WeightsError(f"{path} is no readable file of weights: {reason}.", _NOT_WEIGHTS_HINT) from error


def _harmless() -> list[Any]:
    """Classes besides tensors that Patch-Mix's files hold: the run's arguments, with class counts as an array."""
    import numpy as np
    from numpy._core.multiarray import _reconstruct, scalar

    numpy_names = ("numpy.core.multiarray", "numpy._core.multiarray")
    rebuilders = [
        (function, f"{module}.{function.__name__}") for function in (_reconstruct, scalar) for module in numpy_names
    ]
    kinds = [type(np.dtype(kind)) for kind in ("f4", "f8", "i4", "i8")]
    return [argparse.Namespace, np.ndarray, np.dtype, *kinds, *rebuilders]


def _flat(document: Any, path: Path) -> Iterator[tuple[str, Tensor]]:
    from torch import Tensor

    body = document
    for wrapper in ("model", "state_dict"):
        if isinstance(document, Mapping) and isinstance(document.get(wrapper), Mapping):
            body = document[wrapper]
            break
    if not isinstance(body, Mapping) or not body:
        raise WeightsError(f"{path} holds no tensors by name.", _NOT_WEIGHTS_HINT)
    classifier = document.get("classifier") if body is not document else None
    groups = [("", body), *([("classifier.", classifier)] if isinstance(classifier, Mapping) else [])]
    for prefix, group in groups:
        for name, value in group.items():
            if not isinstance(value, Tensor):
                raise WeightsError(f"{path}: '{name}' is {type(value).__name__}, not a tensor.", _NOT_WEIGHTS_HINT)
            yield prefix + str(name).removeprefix("module."), value
