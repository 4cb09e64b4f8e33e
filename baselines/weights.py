"""Pretrained weights as files: finding them by name, file or URL, fetching them into the cache, reading them safely."""

from __future__ import annotations

import argparse
import hashlib
import pickle
import re
import struct
import sys
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from bench.cards import ModelCard
from bench.errors import WeightsError
from bench.registry import suggestion
from leaderboard.files import atomic_path, exclusive_lock

if TYPE_CHECKING:
    from torch import Tensor

_OFFLINE_HINT = "Fetch the file elsewhere and give it as --pretrain FILE, or use --pretrain none."
_NOT_WEIGHTS_HINT = (
    "Give a .safetensors file, or a file that torch.save wrote from tensors alone; fetch it again if it was cut short."
)
_FILE_ENDINGS = (".pth", ".pt", ".bin", ".ckpt", ".safetensors", ".tar")


@dataclass(frozen=True)
class LocatedWeights:
    """A file of weights.

    Attributes:
        path: Where it is.
        sha256: Its hash, part of a run's identity.
    """

    path: Path
    sha256: str


def locate(card: ModelCard, pretrain: str, cache: Path) -> LocatedWeights | None:
    """Find the weights that a user asks for, and fetch them if they are not there.

    Args:
        card: The model's card.
        pretrain: ``none``, a name on the card, a file, or a URL.
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
        return _fetch(known.location, known.sha256, cache / "weights")
    if pretrain.startswith(("http://", "https://", "hf:")):
        return _fetch(pretrain, None, cache / "weights")
    path = Path(pretrain).expanduser()
    if path.is_file():
        return LocatedWeights(path, _sha256(path))
    raise _not_found(card, pretrain, path)


def _not_found(card: ModelCard, pretrain: str, path: Path) -> WeightsError:
    names = ("none", *card.weights)
    if path.is_dir():
        return WeightsError(f"{path} is a folder, not a file of weights.", "Name the file inside it.")
    if "/" in pretrain or pretrain.endswith(_FILE_ENDINGS):
        return WeightsError(f"There is no file of weights {path}.", "Check the path.")
    return WeightsError(
        f"Model '{card.id}' has no pretrained weights '{pretrain}': {suggestion(pretrain, names)}",
        f"Use one of {', '.join(names)}, or a file or URL of weights.",
    )


def _fetch(location: str, sha256: str | None, folder: Path) -> LocatedWeights:
    """Fetch a location once; its hash is the card's, or the one that was recorded at the first use.

    Raises:
        WeightsError: If it cannot be fetched or is not the file that it was.
    """
    stem = hashlib.sha256(location.encode()).hexdigest()[:12]
    record = folder / f"{stem}.sha256"
    with exclusive_lock(folder / f"{stem}.lock", _say_waiting):
        known = sha256 or (record.read_text(encoding="ascii").strip() if record.is_file() else None)
        if location.startswith(("http://", "https://")):
            path = _from_url(location, known, folder, stem)
        else:
            path = _from_hub(location, folder)
        found = _sha256(path)
        if known is not None and found != known:
            raise WeightsError(
                f"{path} has the SHA-256 {found}, but {known} was expected of {location}.",
                f"Delete it to fetch it again; if it was replaced on purpose, delete {record} as well.",
            )
        if not record.is_file():
            with atomic_path(record) as temporary:
                temporary.write_text(found + "\n", encoding="ascii")
    return LocatedWeights(path, found)


def _say_waiting(holder: str) -> None:
    sys.stderr.write(f"Waiting for {holder}, which is fetching the same weights.\n")


def _from_url(url: str, known: str | None, folder: Path, stem: str) -> Path:
    import pooch

    name = re.sub(r"[^\w.=+-]", "_", unquote(urlsplit(url).path).rpartition("/")[2]) or "weights"
    expected = f"sha256:{known}" if known else None
    try:
        return Path(pooch.retrieve(url, expected, f"{stem}-{name}", folder, progressbar=sys.stderr.isatty()))
    except (OSError, ValueError) as error:
        raise WeightsError(f"Cannot fetch the weights {url}: {_one_line(error)}.", _OFFLINE_HINT) from error


def _from_hub(location: str, folder: Path) -> Path:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]  # of the client that this version uses

    kind, _, name = location.partition(":")
    repository, file = (f"timm/{name}", "model.safetensors") if kind == "timm" else _split_hub(name)
    try:
        return Path(hf_hub_download(repository, file, cache_dir=folder / "hub"))
    except (OSError, ValueError, HTTPError) as error:
        raise WeightsError(
            f"Cannot fetch the weights {repository}/{file} from the hub: {_one_line(error)}.", _OFFLINE_HINT
        ) from error


def _split_hub(name: str) -> tuple[str, str]:
    owner, repository, file = [*name.split("/", 2), "", ""][:3]
    if not file:
        raise WeightsError(f"'hf:{name}' names no file on the hub.", "Write hf:OWNER/REPOSITORY/FILE.")
    return f"{owner}/{repository}", file


def _one_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise WeightsError(f"Cannot read {path}: {error.strerror}.", "Check its permissions.") from error


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
        raise WeightsError(f"{path} is no readable safetensors file: {_one_line(error)}.", _NOT_WEIGHTS_HINT) from error


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
            "it holds code or objects other than tensors, or was not written by torch" if refused else _one_line(error)
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
