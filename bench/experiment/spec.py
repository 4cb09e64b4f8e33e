"""The spec of one run: frozen, typed, each field marked as *identity* (it changes the result) or *execution*.

The run id is a hash of the identity fields alone, so that the same run has the same id on every machine, whatever
the device, the number of processes or the folders are. An identity field that is added later says in which version of
the spec (``since``; the first is 1), and stays out of the hash while it has its default. So does a later option of the
model, the method or the front-end.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bench.core.errors import SpecError
from bench.core.options import (
    UPDATE,
    Space,
    check_given,
    check_value,
    field_types,
    later_defaults,
    since_metadata,
    without_later_defaults,
)
from bench.core.registry import suggestion
from bench.core.text import echoed, whole_number
from bench.experiment import spec_documents as documents

"""Name of a run's spec in its folder."""

NUMERICS = 1
"""Raised when a change of the code moves results: runs before and after it must not share an id."""

SPECAUG_PROBABILITY = 0.8413447460685429
"""Φ(1): the official code compares p = 1.0 with a normal draw (@ 836b09f, ``util/augmentation.py``; SYSTEMS D5)."""

OFFICIAL_SPLIT = "official"
_FOLD = re.compile(r"training-fold-([0-9]{1,4})-of-([0-9]{1,4})")

SCHEDULES = ("cosine", "steps", "wave", "constant")
LR_SPACE = Space(low=1e-6, high=1e-3, log=True, grid=(1e-5, 2e-5, 5e-5, 1e-4, 2e-4))
DECAY_SPACE = Space(low=1e-7, high=1e-2, log=True, grid=(1e-6, 1e-5, 1e-4, 1e-3))
PRECISIONS = ("auto", "fp32", "bf16", "fp16")
DEVICES = ("auto", "cpu", "cuda")
DATASETS = ("icbhi", "demo")
OWNERS = ("model", "method", "frontend")

MOST_EPOCHS = 100_000
MOST_PROCESSES = 1024

_SHA256 = (re.compile(r"[0-9a-f]{64}"), "64 hexadecimal digits")
_PARTIAL = (re.compile(r"partial \([0-9]{1,9} of [0-9]{1,9}\)"), "like 'partial (198 of 920)'")
_LARGE_RATE = "what is too large shows as a loss that is not finite"

Role = Literal["identity", "execution"]
ROLES: tuple[Role, ...] = ("identity", "execution")
NOT_A_SPEC = "Name the spec.json of a run folder."


def _field(role: Role, doc: str, default: Any = dataclasses.MISSING, since: int | None = None, **limits: Any) -> Any:
    metadata = {"role": role, "doc": doc, **limits, **since_metadata(since)}
    if isinstance(default, dict):
        return dataclasses.field(default_factory=default.copy, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def _identity(doc: str, default: Any = dataclasses.MISSING, **limits: Any) -> Any:
    return _field("identity", doc, default, **limits)


def _execution(doc: str, default: Any = dataclasses.MISSING, **limits: Any) -> Any:
    return _field("execution", doc, default, **limits)


@dataclass(frozen=True, kw_only=True)
class RunSpec:
    """Everything that one run is. Each field's doc is the CLI's help."""

    model: str = _identity("model id", settable=False)
    model_options: Mapping[str, Any] = _identity("options of the model", settable=False)
    pretrain: str = _identity("pretrained weights by name, `none`, or `file`", settable=False)
    weights_sha256: str | None = _identity("hash of the weights file", None, settable=False, form=_SHA256)
    method: str = _identity("method id", settable=False)
    method_options: Mapping[str, Any] = _identity("options of the method", settable=False)
    frontend: str = _identity("front-end id", settable=False)
    frontend_version: int = _identity("version of the front-end", settable=False, low=0, high=10**6)
    frontend_options: Mapping[str, Any] = _identity("options of the front-end", settable=False)
    dataset: str = _identity("`icbhi` or `demo` (simulated)", settable=False, choices=DATASETS)
    data_fingerprint: str = _identity("hash of recordings, annotations and split", settable=False, form=_SHA256)
    partial: str | None = _identity(
        "how much of the set is there, where not all is", None, settable=False, form=_PARTIAL
    )
    split: str = _identity(
        "what is judged: `official`, or held-out training patients, `training-fold-1-of-5`", "official", settable=False
    )
    val_fraction: float = _identity(
        "share of training patients' cycles held out for `best-val`", 0.0, low=0.0, high=0.5
    )
    optimiser: str = _identity("optimiser", "adam", choices=("adam",))
    lr: float = _identity("base learning rate", 5e-5, low=1e-12, boundless=_LARGE_RATE, space=LR_SPACE)
    weight_decay: float = _identity("coupled L2 weight decay", 1e-6, low=0.0, high=1e6, space=DECAY_SPACE)
    schedule: str = _identity("learning-rate schedule, by epoch", "cosine", choices=SCHEDULES)
    milestones: str = _identity("epochs after which the schedule `steps` lowers the rate, as in 120,160", "")
    lr_decay: float = _identity("what the schedule `steps` multiplies the rate by", 0.1, low=0.0, high=1.0)
    lr_period: int = _identity("epochs from the top to the bottom of the schedule `wave`", 40, low=1, high=MOST_EPOCHS)
    lr_floor: float = _identity("smallest rate of the schedule `wave`", 1e-6, low=0.0, boundless="at most lr")
    warmup_epochs: int = _identity(
        "epochs of linear warm-up", 0, low=0, high=MOST_EPOCHS, space=Space(low=0, high=10, grid=(0, 5, 10))
    )
    step_average: float = _identity(
        "share of the old state kept after each step",
        0.5,
        low=0.0,
        high=0.999,
        space=Space(low=0.0, high=0.9, grid=(0.0, 0.5, 0.9)),
    )
    batch: int = _identity(
        "global batch, over all processes", 8, low=1, high=1_000_000, space=Space(grid=(8, 16, 32, 64))
    )
    drop_last: bool = _identity("whether an epoch leaves out its last, smaller batch", True, since=2)
    epochs: int = _identity(
        "number of epochs", 50, low=1, high=MOST_EPOCHS, space=Space(low=10, high=100, grid=(25, 50, 100))
    )
    specaug_probability: float = _identity(
        "chance that a sample is masked",
        SPECAUG_PROBABILITY,
        low=0.0,
        high=1.0,
        space=Space(low=0.0, high=1.0, grid=(0.0, 0.5, 1.0)),
    )
    specaug_freq_masks: int = _identity("frequency masks per sample", 2, low=0, high=1000)
    specaug_freq_width: int = _identity(
        "bins: widths are drawn below this", 48, low=0, high=1_000_000, space=Space(low=0, high=64, grid=(16, 32, 48))
    )
    specaug_time_masks: int = _identity("time masks per sample", 2, low=0, high=1000)
    specaug_time_width: int = _identity(
        "frames: widths are drawn below this",
        160,
        low=0,
        high=1_000_000,
        space=Space(low=0, high=256, grid=(80, 160, 240)),
    )
    specaug_together: bool = _identity("whether one chance decides for all samples of a batch", False)
    specaug_fill: str = _identity(
        "value under the masks: the spectrogram's mean, or the front-end's lowest", "mean", choices=("mean", "lowest")
    )
    time_shift: bool = _identity("circular shift in time by a random number of frames", False)
    best_min_se: float = _identity(
        "an epoch can be best only where Se is above this, percent", 5.0, low=0.0, high=100.0
    )
    seed: int = _identity("seed", 1, low=0, high=2**32 - 1)
    precision: str = _identity("fp32, bf16 or fp16", "fp32", choices=("fp32", "bf16", "fp16"))
    extensions: Mapping[str, str] = _identity(
        "versions of what comes from a plug-in, by owner (model, method, frontend)", {}, settable=False
    )
    numerics: int = _identity(
        "raised when a change of the code moves results", NUMERICS, settable=False, low=1, high=10**6
    )

    profile: str = _execution("which recipes the spec began with", "paper", settable=False, choices=("paper", "demo"))
    device: str = _execution("cpu or cuda", "cpu", settable=False, choices=("cpu", "cuda"))
    processes: int = _execution("number of processes", 1, settable=False, low=1, high=MOST_PROCESSES)
    eval_batch: int = _execution("cycles per evaluation batch and process", 32, low=1, high=1_000_000)
    workers: int = _execution("processes that prepare features; 0: one per core", 0, low=0, high=1024)
    plugins: tuple[str, ...] = _execution("plug-in files that ids are looked up in", (), settable=False)
    weights: str | None = _execution("where the weights file is", None, settable=False)
    data: str = _execution("folder of the data", "", settable=False)
    cache: str = _execution("folder of features and weights", "", settable=False)
    study: Mapping[str, Any] = _execution("the study that the run belongs to, and as what", {}, settable=False)

    @property
    def milestone_epochs(self) -> tuple[int, ...]:
        """The epochs of ``milestones``; none where the schedule is not ``steps``.

        Raises:
            SpecError: If the text is no list of epochs, or is empty although the schedule is ``steps``.
        """
        words = self.milestones.split(",") if self.milestones or self.schedule == "steps" else []
        try:
            epochs = tuple(whole_number(word) for word in words)
        except ValueError:
            epochs = (0,)
        if any(epoch < 1 for epoch in epochs):
            raise SpecError(
                f"milestones is '{echoed(self.milestones)}', but schedule=steps needs epochs, as in 120,160."
            )
        return epochs if self.schedule == "steps" else ()

    @property
    def fold(self) -> tuple[int, int] | None:
        """Which fold of the training patients is judged, counted from 1, and of how many; None for the official split.

        Raises:
            SpecError: If the split is neither.
        """
        if self.split == OFFICIAL_SPLIT:
            return None
        found = _FOLD.fullmatch(self.split)
        fold, folds = (int(found[1]), int(found[2])) if found else (0, 0)
        if not (folds >= 2 and 1 <= fold <= folds):
            raise SpecError(f"split is '{echoed(self.split)}', but must be official or like training-fold-1-of-5.")
        return fold, folds

    def identity(self) -> dict[str, Any]:
        """The fields that change the result, but for later fields and options that have their default."""
        return without_defaults(self._fields("identity"), type(self))

    def execution(self) -> dict[str, Any]:
        """The fields that say how and where it runs."""
        return self._fields("execution")

    def _fields(self, role: Role) -> dict[str, Any]:
        return {
            field.name: _plain(getattr(self, field.name))
            for field in dataclasses.fields(self)
            if field.metadata["role"] == role
        }

    @property
    def run_id(self) -> str:
        """16 hexadecimal characters: a hash of the identity fields in canonical JSON."""
        text = json.dumps(self.identity(), sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def to_json(self) -> dict[str, Any]:
        """All fields, as :meth:`from_json` reads them."""
        return {"identity": self.identity(), "execution": self.execution()}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> RunSpec:
        """Read what :meth:`to_json` wrote, wherever it comes from; a ``run_id`` beside it must be the spec's.

        Raises:
            SpecError: If a field is unknown, missing or cannot be what it says, or the run id is another one.
        """
        parts = _parts(document)
        check_fields(parts["identity"], "identity")
        check_fields(parts["execution"], "execution")
        execution = {**parts["execution"], "plugins": tuple(parts["execution"].get("plugins", ()))}
        spec = cls(**{**parts["identity"], **execution})
        given = document.get("run_id", spec.run_id)
        if given != spec.run_id:
            raise SpecError(
                f"The spec says that its run id is '{echoed(given)}', but that of its fields is {spec.run_id}.",
                "It was edited: take it from the run folder again, or leave the run id out.",
            )
        return spec


def without_defaults(identity: Mapping[str, Any], cls: type | None = None) -> dict[str, Any]:
    """Leave out the fields and options of later versions (``since``) where they have their default.

    A run of before such a field was run with what is now its default: it keeps its id, and its place among the rows of
    a board.

    Args:
        identity: Identity fields by name.
        cls: The class of the spec; :class:`RunSpec` where it is left out.
    """
    found = without_later_defaults(identity, cls or RunSpec)
    for owner, options in _known_options(identity).items():
        name = f"{owner}_options"
        if isinstance(found.get(name), Mapping):
            found[name] = without_later_defaults(found[name], options)
    return found


def with_defaults(identity: Mapping[str, Any]) -> dict[str, Any]:
    """Write out what :func:`without_defaults` leaves out, so that specs of several versions can be compared.

    Args:
        identity: Identity fields by name.
    """
    found = {**later_defaults(RunSpec), **identity}
    for owner, options in _known_options(identity).items():
        name = f"{owner}_options"
        found[name] = {**later_defaults(options), **found.get(name, {})}
    return found


def _known_options(identity: Mapping[str, Any]) -> dict[str, type]:
    """The options classes of model, method and front-end by owner, where their code is here in the spec's version."""
    from bench.experiment.registries import registries

    versions = identity.get("extensions", {})
    found = {
        owner: registry.options(identity[owner], versions.get(owner))
        for owner, registry in registries().items()
        if owner in identity
    }
    return {owner: options for owner, options in found.items() if options is not None}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    return list(value) if isinstance(value, tuple) else value


def _parts(document: Any) -> dict[Role, Mapping[str, Any]]:
    """The two parts of a spec's document."""
    if not isinstance(document, Mapping) or "identity" not in document:
        raise SpecError("The document holds no run spec.", NOT_A_SPEC)
    # What else stands beside them is let be: the page keeps a run's result in the same document.
    parts: dict[Role, Mapping[str, Any]] = {role: document.get(role, {}) for role in ROLES}
    for role, part in parts.items():
        if not isinstance(part, Mapping):
            raise SpecError(f"The {role} of the spec is {echoed(repr(part))}, but must be an object.", NOT_A_SPEC)
    return parts


@functools.cache
def _fields_of(cls: type, role: Role) -> dict[str, dataclasses.Field[Any]]:
    return {field.name: field for field in dataclasses.fields(cls) if field.metadata["role"] == role}


def check_fields(values: Mapping[str, Any], role: Role) -> None:
    """Check the fields of a spec's part as a document holds them: names, types, ranges, bounds.

    Args:
        values: Fields by name, of any origin.
        role: Which part they are.

    Raises:
        SpecError: At the first that is unknown (a name is suggested), missing, or cannot be.
    """
    fields = _fields_of(RunSpec, role)
    for name in values:
        if name not in fields:
            raise SpecError(f"Unknown field '{echoed(name)}' in the spec: {suggestion(str(name), fields)}", UPDATE)
    for name, field in fields.items():
        if name in values:
            _check_value(values[name], field)
        elif field.default is field.default_factory is dataclasses.MISSING:
            raise SpecError(f"The spec is incomplete: it lacks '{name}'.", NOT_A_SPEC)


def _check_value(value: Any, field: dataclasses.Field[Any]) -> None:
    name, kind = field.name, field_types(RunSpec)[field.name]
    if kind in (bool, int, float, str):
        check_given(value, kind, name, field.metadata)
    elif kind == str | None:
        if value is not None:
            check_given(value, str, name, field.metadata)
    elif name == "plugins":
        documents.check_texts(value, name)
    elif name == "study":
        _check_study(value)
    else:
        documents.check_flat(value, name, text_only=name == "extensions")
    pattern, words = field.metadata.get("form", (None, ""))
    if pattern is not None and value is not None and not pattern.fullmatch(value):
        raise SpecError(f"{name} is '{echoed(value)}', but must be {words}.")


def _check_study(value: Any) -> None:
    documents.check_tree(value, "study")
    if value and not all(isinstance(value.get(name), str) for name in ("name", "objective", "role")):
        raise SpecError(f"study is {echoed(repr(dict(value)))}, but must have a name, an objective and a role.")
    if value and value["role"] not in ("trial", "final"):
        raise SpecError(f"study: role is '{echoed(value['role'])}', but must be trial or final.")


def settable_fields() -> dict[str, dataclasses.Field[Any]]:
    """The spec's fields that ``--set key=value`` may change, by name."""
    return {field.name: field for field in dataclasses.fields(RunSpec) if field.metadata.get("settable", True)}


def check_field(name: str, value: Any) -> Any:
    """Convert and check the value of a settable field; raises SpecError as ``bench.core.options.check_value`` does."""
    kind = field_types(RunSpec)[name]
    return check_value(value, kind, name, settable_fields()[name].metadata)


def read_spec(path: Path) -> RunSpec:
    """Read a spec from a JSON file (``spec.json`` of a run folder).

    Raises:
        SpecError: If the file cannot be read or holds something else.
    """
    document = documents.read_json(path, f"the spec {path}", NOT_A_SPEC)
    if not isinstance(document, dict) or "identity" not in document:
        raise SpecError(f"{path} holds no run spec.", NOT_A_SPEC)
    return RunSpec.from_json(document)
