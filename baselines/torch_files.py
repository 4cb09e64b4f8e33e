"""Files that ``torch.save`` wrote, read without running what is in them; what is refused is named.

Only tensors and a few classes that can do no harm are made from a file. No message advises to read it otherwise.
"""

from __future__ import annotations

import argparse
import datetime
import decimal
import pathlib
import pickle
import re
import struct
import types
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.core.errors import WeightsError
from bench.core.text import echoed
from bench.core.zip_directory import check_directory

NOT_WEIGHTS_HINT = (
    "Give a .safetensors file, or a file that torch.save wrote from tensors alone; fetch it again if it was cut short."
)
_TENSORS_ALONE = (
    "Where the file comes from, save its tensors alone: torch.save(model.state_dict(), FILE), or as .safetensors."
)

# What torch.load and zipfile raise on files that are not theirs or are cut short; they promise no single class.
_FAULTS = (
    pickle.UnpicklingError,
    struct.error,
    zipfile.BadZipFile,
    RuntimeError,
    EOFError,
    OSError,
    ValueError,
    LookupError,
    AttributeError,
    TypeError,
    ImportError,
    AssertionError,
    ArithmeticError,
    BufferError,
    MemoryError,
)

_PROTOCOL_4 = range(140, 152)
"""The operands that pickle's protocols 4 and 5 brought; torch's reader of tensors alone has those up to protocol 3."""


def read_torch_file(path: Path) -> Any:
    """Read a file that ``torch.save`` wrote.

    Raises:
        WeightsError: If it is none, is cut short, or holds objects of a class that is not made from files.
    """
    import torch

    try:
        _check_archive(path)
        with warnings.catch_warnings(), torch.serialization.safe_globals(_harmless_classes()):
            warnings.simplefilter("ignore")  # guesses on what a file is that turns out to be none of ours
            return torch.load(path, map_location="cpu", weights_only=True)
    except _FAULTS as error:
        reason, hint = _reason_and_hint(error)
        raise WeightsError(f"{path} is no readable file of weights: {reason}.", hint) from error


def _reason_and_hint(error: BaseException) -> tuple[str, str]:
    """What a fault means, and what to do; the reader's own words advise to run the file's code."""
    text = str(error)
    named = re.search(r"GLOBAL (?P<name>\S+)|got <class '(?P<kind>[^']+)'>", text)
    if named is not None:
        return f"it holds code or objects other than tensors ({echoed(named['name'] or named['kind'])})", _TENSORS_ALONE
    operand = re.search(r"Unsupported operand (\d{1,3})\b", text)
    if operand is not None and int(operand[1]) in _PROTOCOL_4:
        return "it is pickled by protocol 4 or a later one, and torch reads tensors alone by 2 and 3", _TENSORS_ALONE
    if isinstance(error, pickle.UnpicklingError) or "weights_only" in text:
        return "it holds code or objects other than tensors, or was not written by torch", NOT_WEIGHTS_HINT
    first = (text.strip().splitlines() or [type(error).__name__])[0].rstrip(".")
    return echoed(first, 200), NOT_WEIGHTS_HINT


def _check_archive(path: Path) -> None:
    """Look at an archive before torch does.

    Raises:
        ValueError: If it is an archive of another kind, or one that announces more than it holds.
    """
    with path.open("rb") as stream:
        is_archive = stream.read(4) == b"PK\3\4"
    if not is_archive:
        return
    check_directory(path)
    with zipfile.ZipFile(path) as archive:
        fault = _archive_fault(archive.infolist(), path.stat().st_size)
    if fault is not None:
        raise ValueError(fault)


def _archive_fault(members: list[zipfile.ZipInfo], size: int) -> str | None:
    names = [info.filename for info in members]
    if any(name.endswith("/constants.pkl") for name in names):
        return "it is a TorchScript archive, a program; only its state dict can be used"
    if any(name.endswith(("/archive_format", "/serialized_exported_program.json")) for name in names):
        return "it is a program that torch.export saved; only its state dict can be used"
    if not any(name.endswith("/data.pkl") for name in names):
        return "it is an archive, but none that torch.save wrote"
    # Torch stores its members as they are: what is packed, or lies over another one, expands in memory.
    if any(info.compress_type != zipfile.ZIP_STORED for info in members):
        return "its archive is packed, which torch.save does not do"
    return "its archive announces more than it holds" if sum(info.file_size for info in members) > size else None


def _harmless_classes() -> list[Any]:
    """Classes besides tensors that checkpoints hold next to them: arguments, paths, dates, numbers of NumPy."""
    import numpy as np

    simple = [argparse.Namespace, types.SimpleNamespace, decimal.Decimal]
    dates = [datetime.datetime, datetime.date, datetime.time, datetime.timedelta, datetime.timezone]
    kinds = [type(np.dtype(kind)) for kind in "?bBhHiIlLqQefdFDSU"]
    return [*simple, *dates, np.ndarray, np.dtype, *kinds, *_renamed_classes()]


def _renamed_classes() -> Iterator[tuple[Any, str]]:
    """Classes and functions under the names by which files of different versions and systems know them."""
    import numpy as np

    # What NumPy itself names when it pickles an array and a number.
    made_by: tuple[Any, ...] = (np.empty(0).__reduce__()[0], np.float64(0).__reduce__()[0])
    for function in made_by:
        for module in ("numpy.core.multiarray", "numpy._core.multiarray"):
            yield function, f"{module}.{function.__name__}"
    yield _as_dictionary, "collections.defaultdict"
    for module in ("builtins", "__builtin__"):
        for kind in (list, dict, set, frozenset, tuple, int, float, str, bool):
            yield kind, f"{module}.{kind.__name__}"
    for module in ("pathlib", "pathlib._local"):
        for path in (pathlib.PurePosixPath, pathlib.PureWindowsPath):
            yield path, f"{module}.{path.__name__}"
        # A path of another system is a name like any other; it is never opened.
        yield pathlib.PurePosixPath, f"{module}.PosixPath"
        yield pathlib.PureWindowsPath, f"{module}.WindowsPath"


def _as_dictionary(*factory: object) -> dict[Any, Any]:
    """What becomes of a ``defaultdict``: torch's reader of tensors alone fills plain dictionaries only."""
    return {}
