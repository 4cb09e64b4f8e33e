"""Probes: the features of a frozen encoder, computed once for all cycles, kept in the cache, and trained on."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from bench.core.errors import SpecError
from bench.core.files import write_json
from bench.core.inputs import UNNAMED
from bench.core.progress import counted
from bench.data.bank import Rows, RowsFile
from bench.data.bank_folder import (
    CHECKSUMS,
    DESCRIPTION,
    FORMAT,
    bank_folder,
    clear_bank,
    open_or_make,
    read_description,
)
from bench.data.frontends import BatchFrontEnd
from bench.data.row_file import RowFile
from bench.data.unfinished import Checksums, unfinished_files
from bench.engine.data import RunData, built_front_end
from bench.engine.graph import TrainingGraph
from bench.experiment.spec import RunSpec
from leaderboard.results.run_folder import RunFolder

if TYPE_CHECKING:
    from accelerate import Accelerator

KIND = "encoded"
"""Folder of the cache that holds the features of encoders."""

FEATURES = "features.npy"

Encoded = Callable[[Container[int]], Iterator[tuple[range, np.ndarray]]]
"""Gives batches of rows and their features; those whose first row is in the given ones are left out."""


class HeadAlone(nn.Module):
    """The classifier of a model, for features that were computed before.

    Args:
        model: The whole model.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.classifier: nn.Module = model.classifier
        self.feature_dim: int = model.feature_dim

    def features(self, x: Tensor) -> Tensor:
        """The features (batch, features) themselves."""
        return x

    def forward(self, x: Tensor) -> Tensor:
        """Map features (batch, features) to logits (batch, classes)."""
        logits: Tensor = self.classifier(x)
        return logits

    def checkpoint_blocks(self) -> list[nn.Module]:
        """The classifier: all that is trained."""
        return [self.classifier]


def check_probe(spec: RunSpec) -> None:
    """Check that the features of a cycle depend on that cycle alone.

    Raises:
        SpecError: If the front-end normalises pictures by the batch that they come in.
    """
    if isinstance(built_front_end(spec), BatchFrontEnd):
        raise SpecError(
            f"The method {spec.method} computes the features of each cycle once, but the front-end {spec.frontend} "
            "normalises pictures by the batch that they come in.",
            "Use another front-end, or options of it that normalise each cycle by itself.",
        )


def probed(
    graph: TrainingGraph, data: RunData, spec: RunSpec, accelerator: Accelerator, folder: RunFolder
) -> tuple[TrainingGraph, RunData]:
    """The classifier of a model and the features that it is trained on, in place of the model and its inputs.

    Args:
        graph: Model and method, with the weights that the run starts from.
        data: The run's data.
        spec: The spec of the run.
        accelerator: Gives device and precision.
        folder: The run's folder, with what its front-end learnt.

    Returns:
        The classifier and the method, and the data with a bank of features; model and data given are not changed.

    Raises:
        SpecError: If the features of a cycle do not depend on that cycle alone.
        StoreError: If the cache cannot be written.
    """
    check_probe(spec)
    _check_head(graph.model, data, spec)
    features, path = _features(graph.model, data, spec, accelerator, folder)
    bank = replace(data.bank, features=features, path=path)
    head = TrainingGraph(HeadAlone(graph.model), graph.method)
    return head, replace(data, bank=bank, extremes=None, waves=None, frontend=None, on_device=None)


def _features(
    model: Any, data: RunData, spec: RunSpec, accelerator: Accelerator, folder: RunFolder
) -> tuple[Rows, Path]:
    """The features of all rows, and the file that they are in."""
    batches = _batches(len(data.bank.labels), spec.distribution.eval_batch)

    def encoded(done: Container[int]) -> Iterator[tuple[range, np.ndarray]]:
        return _encoded(model, data, accelerator, batches, done)

    if not spec.cache:
        # A made-up run has no cache, and nothing would tell its rows from those of another one.
        return np.concatenate([features for _, features in encoded(())]), data.bank.path
    identity = _identity(model, data, spec, folder)
    place = bank_folder(Path(spec.cache), KIND, identity)
    made = open_or_make(place, lambda: _opened(place, identity), lambda: _make(place, identity, batches, encoded))
    return made, place / FEATURES


@torch.no_grad()
def _check_head(model: Any, data: RunData, spec: RunSpec) -> None:
    """Refuse a model that is more than its classifier on its features, by its outputs for one cycle."""
    model.eval()
    x = data.inputs(np.array([0]))
    try:
        whole, parts = model(x), model.classifier(model.features(x))
        is_same = whole.shape == parts.shape and torch.allclose(whole, parts, rtol=1e-3, atol=1e-3)
    except (RuntimeError, ValueError, IndexError):
        is_same = False
    if not is_same:
        raise SpecError(
            f"The model {spec.model} does not classify by its features alone, so that the method {spec.method} has "
            "nothing to find a classifier for.",
            "Use another model; `bench models list` names them.",
        )


def _identity(model: Any, data: RunData, spec: RunSpec, folder: RunFolder) -> dict[str, Any]:
    """What says which numbers a bank of features holds."""
    learnt = folder.frontend
    owners = ("model", "frontend", "dataset")
    return {
        "format": FORMAT,
        "shape": [len(data.bank.labels), model.feature_dim],
        "encoder": _hash_of_encoder(model),
        "learnt": hashlib.sha256(learnt.read_bytes()).hexdigest() if learnt.is_file() else None,
        "extensions": {owner: spec.extensions[owner] for owner in owners if owner in spec.extensions},
        **{
            name: getattr(spec, name)
            for name in (
                *("model", "frontend", "frontend_version", "dataset", "task", "data_fingerprint", "partial"),
                *("precision", "tf32", "numerics"),
            )
        },
        "model_options": dict(spec.model_options),
        "frontend_options": dict(spec.frontend_options),
    }


def _hash_of_encoder(model: Any) -> str:
    """The hash of all numbers of a model but those of its classifier, wherever they came from."""
    digest, head = hashlib.sha256(), set(model.classifier.state_dict(prefix="classifier."))
    for name, tensor in sorted(model.state_dict().items()):
        if name not in head:
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
            digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _opened(place: Path, identity: dict[str, Any]) -> RowFile | None:
    described = read_description(place, identity, [CHECKSUMS])
    if described is None:
        return None
    try:
        file = RowFile(place / FEATURES, tuple(identity["shape"]), place / DESCRIPTION)
        checksums = np.array(described[CHECKSUMS], dtype=np.uint32)
    except (OSError, LookupError, TypeError, ValueError, OverflowError):
        return None
    file.checksums = checksums
    return file if checksums.shape == file.shape[:1] else None


def _batches(rows: int, batch: int) -> list[range]:
    """The rows that are encoded together."""
    return [range(start, min(start + batch, rows)) for start in range(0, rows, batch)]


def _make(place: Path, identity: dict[str, Any], batches: Sequence[range], encoded: Encoded) -> None:
    """Compute the features of all rows, or those that one who was stopped lacks; the caller holds the folder's lock."""
    clear_bank(place)
    with unfinished_files(place, [place / FEATURES]) as (done, (part,)):
        file = RowsFile(part, tuple(identity["shape"]))
        file.lay_out()
        noted = done.read()
        found = {rows.start: noted[rows.start][UNNAMED] for rows in batches if _are_there(rows, noted, file)}
        for rows, features in encoded(found):
            found[rows.start] = file.write(features, rows.start)
            done.add(rows.start, {UNNAMED: found[rows.start]})
    checksums = [checksum for rows in batches for checksum in found[rows.start]]
    write_json(place / DESCRIPTION, {**identity, CHECKSUMS: checksums})


def _are_there(rows: range, noted: Mapping[int, Checksums], file: RowsFile) -> bool:
    """Whether a batch of these very rows was noted as done and is what was written; a crash may have lost it."""
    checksums = noted.get(rows.start, {}).get(UNNAMED, ())
    return len(checksums) == len(rows) and file.holds(rows.start, checksums)


def _encoded(
    model: Any, data: RunData, accelerator: Accelerator, batches: Sequence[range], done: Container[int]
) -> Iterator[tuple[range, np.ndarray]]:
    """The features (batch, features) of batches of rows, in single precision, but of those whose first row is done."""
    rows, was_on = len(data.bank.labels), next(model.parameters()).device
    model.to(accelerator.device).eval()
    with counted("cycles") as update, torch.inference_mode(), accelerator.autocast():
        for batch in batches:
            if batch.start not in done:
                features = model.features(data.inputs(np.array(batch), accelerator.device))
                yield batch, features.float().cpu().numpy()
            update("features of the encoder", batch.stop, rows)
    # What is trained from now on is the classifier alone.
    model.to(was_on)
