"""Beginnings that wrappers and training frameworks put before the names of a model's tensors."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from torch import Tensor

_WRAPPED = re.compile(r"(?:^|(?<=\.))(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
"""What ``torch.compile``, FSDP and activation checkpointing add, before the model's names or those of a part of it."""

_PARALLEL = re.compile(r"^(?:module\.)+")
"""Beginning that ``DataParallel`` and its like add to each name, once for each wrapper."""


def unwrapped_name(name: str) -> str:
    """Take from a tensor's name what wrappers of torch added to it."""
    return _PARALLEL.sub("", _WRAPPED.sub("", name))


def enclosing_prefixes(sources: Sequence[str], names: Iterable[str]) -> list[str]:
    """Beginnings under which a model may lie inside a larger module (``model.`` of a LightningModule), shortest first.

    Args:
        sources: Names of a model's tensors, as the file would have them were it the model's alone.
        names: The file's names.
    """
    # Some of the model's tensors tell where it lies; one that is missing shall not hide the others.
    anchors = {sources[len(sources) * part // 4] for part in range(4)} if sources else set()
    found = {
        name[: -len(anchor)]
        for name in names
        for anchor in anchors
        if name.endswith(f".{anchor}") and len(name) > len(anchor)
    }
    return sorted(found, key=lambda prefix: (len(prefix), prefix))


def without_prefix(prefix: str, sources: Iterable[str], tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A model's tensors out of a larger module: those under its beginning, and others that its layout names.

    What else such files hold belongs to other modules: losses, metrics, projections.
    """
    own = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    return {**{name: tensors[name] for name in sources if name in tensors}, **own}
