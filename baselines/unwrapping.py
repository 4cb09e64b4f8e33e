"""A model's tensors out of what checkpoints keep them in: keys beside other things, and beginnings of their names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from baselines.name_prefixes import unwrapped_name
from baselines.torch_files import NOT_WEIGHTS_HINT
from bench.core.errors import WeightsError
from bench.core.text import echoed

_WRAPPERS = (
    "model",
    "state_dict",
    "model_state_dict",
    "model_state",
    "module",
    "net",
    "network",
    "weights",
    "params",
    "model_ema",
    "ema",
    "state_dict_ema",
    "encoder",
    "backbone",
)
"""Under which key files keep the model's tensors beside other things; the first that is there is read, and where none
is, the only part that has tensors. The averaged ones come after the model itself."""

_TWINS = ("student", "teacher")
"""Two models of one architecture; a file that has both does not say which is meant."""

_DEEPEST = 4
"""Wrappers inside each other that are taken off; an object can hold itself."""

_COUNTERS = frozenset({"n_averaged"})
"""Tensors that torch's own wrappers add to a model's."""


def named_tensors(document: Any, path: Path) -> Iterator[tuple[str, Tensor]]:
    """The model's tensors by the names that they have without what wraps them.

    Args:
        document: What a file holds.
        path: The file, for messages.

    Raises:
        WeightsError: If there are none, or it is not clear which are meant.
    """
    body, beside = _unwrapped_body(document, path)
    if not isinstance(body, Mapping) or not body:
        raise WeightsError(f"{path} holds no tensors by name.", NOT_WEIGHTS_HINT)
    yield from unwrapped_tensors("", body, path)
    classifier = beside.get("classifier")
    if isinstance(classifier, Mapping):
        yield from unwrapped_tensors("classifier.", classifier, path)


def _unwrapped_body(document: Any, path: Path) -> tuple[Any, Mapping[str, Any]]:
    """What a file's wrappers hold in the end, and what stands beside it in the last of them."""
    _refuse_parts_of_a_model(document, path)
    body, beside = document, {}
    for _ in range(_DEEPEST):
        key = _wrapper_key(body, path)
        if key is None:
            break
        body, beside = body[key], body
    return body, beside


def _wrapper_key(document: Any, path: Path) -> str | None:
    if not isinstance(document, Mapping):
        return None
    known = [key for key in _WRAPPERS if isinstance(document.get(key), Mapping)]
    twins = [key for key in _TWINS if isinstance(document.get(key), Mapping)]
    if not known and len(twins) > 1:
        raise WeightsError(
            f"{path} holds two models, '{twins[0]}' and '{twins[1]}'.",
            "Save the one that is meant in a file of its own.",
        )
    # A configuration may have the name that elsewhere is the model's.
    full = [key for key in known if _has_tensors(document[key], _DEEPEST)]
    return next(iter([*full, *known, *twins]), None) or _only_part(document)


def _only_part(document: Mapping[str, Any]) -> str | None:
    """The key of the only part that has tensors, where the document itself has none."""
    if _is_model(document):
        return None
    parts = [key for key, value in document.items() if _has_tensors(value, _DEEPEST)]
    return parts[0] if len(parts) == 1 else None


def _is_model(document: Mapping[str, Any]) -> bool:
    return any(isinstance(value, Tensor) for value in document.values())


def _has_tensors(document: Any, depth: int) -> bool:
    if not isinstance(document, Mapping) or not depth:
        return False
    return _is_model(document) or any(_has_tensors(document[key], depth - 1) for key in _WRAPPERS if key in document)


def _refuse_parts_of_a_model(document: Any, path: Path) -> None:
    """DeepSpeed's ZeRO keeps one part of the model for each process of a training, and only shapes beside them."""
    if not isinstance(document, Mapping):
        return
    optimiser = document.get("optimizer_state_dict")
    parted = isinstance(optimiser, Mapping) and "zero_stage" in optimiser and not document.get("module")
    module = document.get("module")
    hollow = "param_shapes" in document and isinstance(module, Mapping) and _is_hollow(module)
    if parted or hollow:
        raise WeightsError(
            f"{path} is one part of a checkpoint that DeepSpeed (ZeRO) spread over processes.",
            "Join its parts with the zero_to_fp32.py in its folder, and give the file that this writes.",
        )


def _is_hollow(module: Mapping[str, Any]) -> bool:
    return all(getattr(value, "numel", lambda: 1)() == 0 for value in module.values())


def unwrapped_tensors(prefix: str, group: Mapping[Any, Any], path: Path) -> Iterator[tuple[str, Tensor]]:
    """The tensors of a state dict by their unwrapped names, with a prefix before them.

    Raises:
        WeightsError: If something else has the name of a tensor.
    """
    for key, value in group.items():
        name = prefix + unwrapped_name(str(key))
        if isinstance(value, Tensor):
            if name not in _COUNTERS:
                yield name, value
        elif "." in name and not name.endswith("._extra_state"):
            # What has no point in its name is beside the model: an epoch, a learning rate.
            raise WeightsError(f"{path}: '{echoed(name)}' is {type(value).__name__}, not a tensor.", NOT_WEIGHTS_HINT)
