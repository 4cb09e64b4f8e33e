"""Layouts of checkpoints: under which names a model's tensors stand in the files of different code bases.

A layout is asked the other way round: for each tensor of ours it names its sources in the file. Whatever is then
missing, left over or of another shape is known by the file's own names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias, runtime_checkable

import torch
from torch import Tensor

from baselines.name_prefixes import enclosing_prefixes, without_prefix
from bench.core.errors import WeightsError
from bench.core.text import echoed

# A batch norm's counter of batches: older files do without, and nothing but a cumulative average reads it.
_OPTIONAL = "num_batches_tracked"
_SHOWN = 4


@dataclass(frozen=True, kw_only=True)
class CheckpointLayout:
    """The names that the tensors of one model have in one kind of file.

    Attributes:
        title: Whose files these are, for messages.
        sources: For a name in our state dict, the names in the file whose tensors make it up, joined along the
            first axis; empty where the file has nothing for it and our fresh tensor stays.
        unused: Beginnings of names that such files hold and that have no use here (heads of other tasks).
        fitted: Whether the tensors already have this model's geometry and are taken as they are.
        grid_rows: Rows (frequency) of the file's position grid; ``None`` for a square one.
        prepare: Called with the layout, the model, the file's tensors and its path before they are used; gives layout
            and tensors, changed where more is known of them (a ``config.json`` beside the file).
        catch_all: Whether files that follow no known layout are tried under this one, because ``prepare`` knows more.
        head: Name of the linear layer that classifies the source task in such files; empty where there is none.
    """

    title: str
    sources: Callable[[str], tuple[str, ...]]
    unused: tuple[str, ...] = ()
    fitted: bool = False
    grid_rows: int | None = None
    prepare: Prepare | None = None
    catch_all: bool = False
    head: str = ""


Prepare: TypeAlias = Callable[
    [CheckpointLayout, Any, Mapping[str, Tensor], Path], tuple[CheckpointLayout, Mapping[str, Tensor]]
]


@runtime_checkable
class Pretrainable(Protocol):
    """A model that can be filled from files.

    Attributes:
        layouts: The layouts that it knows; the first one wins where two fit equally well.
    """

    layouts: tuple[CheckpointLayout, ...]

    def adapt(self, name: str, tensor: Tensor, layout: CheckpointLayout) -> Tensor:
        """Bring a file's tensor to the form of ours, or return our own where the file's is not to be used.

        Args:
            name: Name of the tensor in our state dict.
            tensor: The file's tensor.
            layout: Layout under which the file was read.

        Raises:
            WeightsError: If it cannot be brought to that form.
        """
        ...


def renamed_sources(ours: str, theirs: str) -> Callable[[str], tuple[str, ...]]:
    """A layout's ``sources`` that exchanges the beginning of each name; names that begin otherwise have none."""

    def sources(name: str) -> tuple[str, ...]:
        return (theirs + name.removeprefix(ours),) if name.startswith(ours) else ()

    return sources


def with_classifier_sources(sources: Callable[[str], tuple[str, ...]]) -> Callable[[str], tuple[str, ...]]:
    """The same ``sources`` for files that hold this task's classifier as well."""
    return lambda name: (name,) if name.startswith("classifier.") else sources(name)


def own_layout(title: str = "LungBench") -> CheckpointLayout:
    """The layout of files that hold a state dict of ours."""
    return CheckpointLayout(title=title, sources=lambda name: (name,), fitted=True)


def load_into(model: torch.nn.Module, tensors: Mapping[str, Tensor], owner: str, path: Path) -> CheckpointLayout:
    """Fill a model from a file's tensors; either all fit, or nothing is changed.

    The model may be a part of a larger module in the file (``model.`` before each of its names): what the file holds
    besides it is then left alone.

    Args:
        model: A :class:`Pretrainable` module.
        tensors: The file's tensors by name, flat.
        owner: Words for the model that is filled, for messages.
        path: The file, for messages.

    Returns:
        The layout that was recognised.

    Raises:
        WeightsError: If the layout is unknown, or a tensor is missing, left over, of another shape or not finite;
            the tensor is named as it is in the file.
    """
    if not isinstance(model, Pretrainable):
        raise WeightsError(f"{owner} takes no pretrained weights.", "Use --pretrain none.")
    target = model.state_dict()
    layout, tensors = _recognise(model.layouts, list(target), tensors, owner, path)
    if layout.prepare is not None:
        layout, tensors = layout.prepare(layout, model, tensors, path)
    faults = [*_missing(layout, target, tensors), *_left_over(layout, target, tensors)]
    state: dict[str, Tensor] = {}
    for name, ours in target.items():
        parts = [tensors[source] for source in layout.sources(name) if source in tensors]
        if not parts or len(parts) != len(layout.sources(name)):
            continue
        fault, state[name] = _fit_tensor(model, layout, name, parts, ours)
        faults += fault
    if faults:
        more = f"; and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
        raise WeightsError(
            f"{path} ({layout.title} layout) does not fit {owner}: {'; '.join(faults[:_SHOWN])}{more}.",
            "Give weights of the same architecture and geometry, or use --pretrain none.",
        )
    model.load_state_dict({**target, **state})
    return layout


def source_head(model: torch.nn.Module, tensors: Mapping[str, Tensor], path: Path) -> tuple[Tensor, Tensor] | None:
    """Find the classifier of the source task in a file of pretrained weights, which the model itself has no use for.

    Args:
        model: The model that is filled from the file.
        tensors: The file's tensors by name, flat.
        path: The file, for messages.

    Returns:
        Weight (source classes, features) and bias (source classes,); None where files of that kind have none.

    Raises:
        WeightsError: If the layout of the file is unknown.
    """
    if not isinstance(model, Pretrainable):
        return None
    layout, tensors = _recognise(model.layouts, list(model.state_dict()), tensors, "the model", path)
    weight, bias = (tensors.get(f"{layout.head}.{part}") for part in ("weight", "bias"))
    return None if weight is None or bias is None else (weight, bias)


def _recognise(
    layouts: Sequence[CheckpointLayout], names: Sequence[str], tensors: Mapping[str, Tensor], owner: str, path: Path
) -> tuple[CheckpointLayout, Mapping[str, Tensor]]:
    """Find the layout that fits best, and the model's tensors under the names that it has there."""
    best = max(layouts, key=lambda layout: _count_found(layout, names, tensors))
    if _holds_enough(best, names, tensors):
        return best, tensors
    inside = _inside_larger_module(layouts, names, tensors, path)
    if inside is not None:
        return inside
    unknown = next((layout for layout in layouts if layout.catch_all), None)
    if unknown is not None:
        return unknown, tensors
    first = ", ".join(f"'{echoed(name)}'" for name in list(tensors)[:3])
    known = ", ".join(layout.title for layout in layouts)
    raise WeightsError(
        f"{path} holds no weights for {owner}: its {len(tensors)} tensors ({first}, ...) follow no known layout.",
        f"Known layouts: {known}.",
    )


def _inside_larger_module(
    layouts: Sequence[CheckpointLayout], names: Sequence[str], tensors: Mapping[str, Tensor], path: Path
) -> tuple[CheckpointLayout, Mapping[str, Tensor]] | None:
    """The model as a part of a larger module; refused where there are two that could be meant."""
    parts = [
        (_count_found(layout, names, part), -len(prefix), layout, prefix, part)
        for layout in layouts
        for prefix in enclosing_prefixes(_all_sources(layout, names), tensors)
        for part in [without_prefix(prefix, _all_sources(layout, names), tensors)]
        if _holds_enough(layout, names, part)
    ]
    if not parts:
        return None
    best = max(parts, key=lambda part: part[:2])
    rivals = sorted({prefix for found, _, layout, prefix, _ in parts if layout is best[2] and found == best[0]})
    if len(rivals) > 1:
        listed = " and ".join(f"'{echoed(prefix)}'" for prefix in rivals[:_SHOWN])
        raise WeightsError(
            f"{path} holds the model more than once, under {listed}.",
            "Save the one that is meant in a file of its own.",
        )
    return best[2], best[4]


def _all_sources(layout: CheckpointLayout, names: Sequence[str]) -> list[str]:
    return [source for name in names for source in layout.sources(name)]


def _count_found(layout: CheckpointLayout, names: Sequence[str], tensors: Mapping[str, Tensor]) -> int:
    return sum(source in tensors for source in _all_sources(layout, names))


def _holds_enough(layout: CheckpointLayout, names: Sequence[str], tensors: Mapping[str, Tensor]) -> bool:
    needed = sum(len(layout.sources(name)) for name in names if not name.endswith(_OPTIONAL))
    return 2 * _count_found(layout, names, tensors) >= needed


def _missing(layout: CheckpointLayout, target: Mapping[str, Tensor], tensors: Mapping[str, Tensor]) -> list[str]:
    wanted = (source for name in target if not name.endswith(_OPTIONAL) for source in layout.sources(name))
    return [f"'{source}' is missing" for source in wanted if source not in tensors]


def _left_over(layout: CheckpointLayout, target: Mapping[str, Tensor], tensors: Mapping[str, Tensor]) -> list[str]:
    used = {source for name in target for source in layout.sources(name)}
    return [f"'{echoed(name)}' is extra" for name in tensors if name not in used and not name.startswith(layout.unused)]


def _fit_tensor(
    model: Pretrainable, layout: CheckpointLayout, name: str, parts: Sequence[Tensor], ours: Tensor
) -> tuple[list[str], Tensor]:
    """Join, adapt and check the sources of one tensor; returns what is wrong with them, and the result."""
    sources = layout.sources(name)
    kinds = [fault for each in zip(sources, parts, strict=True) if (fault := kind_fault(*each, ours))]
    if kinds:
        return kinds, ours
    if len(parts) > 1:
        needed = (ours.shape[0] // len(parts), *ours.shape[1:])
        wrong = [_shape_fault(s, part, needed) for s, part in zip(sources, parts, strict=True) if part.shape != needed]
        if wrong:
            return wrong, ours
    joint_history = torch.cat(list(parts)) if len(parts) > 1 else parts[0]
    try:
        adapted = joint_history if layout.fitted else model.adapt(name, joint_history, layout)
    except WeightsError as error:
        return [f"'{sources[0]}': {error.message.rstrip('.')}"], ours
    if adapted.shape != ours.shape:
        return [_shape_fault(sources[0], parts[0], tuple(ours.shape))], ours
    # As it will be held: a number of float64 may be beyond float32.
    held = adapted.to(ours.dtype)
    if not torch.isfinite(held).all():
        return [f"'{sources[0]}' holds values that are not finite"], ours
    return [], held


def kind_fault(source: str, tensor: Tensor, ours: Tensor) -> str | None:
    """What is wrong with the kind of a file's numbers for a tensor of ours; ``None`` if nothing is.

    Whole numbers in place of fractions are a quantised model, whose scales its names do not tell.
    """
    # Averages over training have fractions also in the counters that nothing reads.
    if ours.is_floating_point() == tensor.is_floating_point() or source.endswith(_OPTIONAL):
        return None
    wanted = "fractions" if ours.is_floating_point() else "whole numbers"
    return f"'{source}' holds {str(tensor.dtype).removeprefix('torch.')}, but {wanted} are needed"


def _shape_fault(source: str, tensor: Tensor, needed: tuple[int, ...]) -> str:
    return f"'{source}' has the shape {tuple(tensor.shape)}, but {needed} is needed"
