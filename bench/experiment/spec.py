"""The spec of one run: frozen, typed, each field marked as *identity* (it changes the result) or *execution*.

What belongs to the optimiser, the schedule, the sampling, the augmentation and the distribution stands in parts, whose
classes lie beside the code that reads them (``spec.optim.lr``). Documents, ``--set`` and searches speak of the flat
form, in which every field has one name (``lr``).

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
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.core.cards import PROFILES
from bench.core.datasets import FOUR_CLASSES
from bench.core.errors import SpecError
from bench.core.fields import (
    ROLES,
    Role,
    execution_field,
    flat_fields,
    identity_field,
    later_flat_defaults,
    parts_of,
)
from bench.core.options import (
    KINDS,
    UPDATE,
    check_given,
    check_value,
    field_types,
    later_defaults,
    without_later_defaults,
)
from bench.core.registry import suggestion
from bench.core.text import echoed
from bench.engine.augment.options import AugmentOptions
from bench.engine.distribution import DistributionOptions
from bench.engine.optim import OptimOptions
from bench.engine.sampling import SamplingOptions
from bench.engine.schedule import ScheduleOptions
from bench.engine.tracking import TrackingOptions
from bench.experiment import spec_documents as documents

NUMERICS = 1
"""Raised when a change of the code moves results: runs before and after it must not share an id."""

OFFICIAL_SPLIT = "official"
_FOLD = re.compile(r"training-fold-([0-9]{1,4})-of-([0-9]{1,4})")

VOTES = ("mean", "majority", "majority-first", "product")
PRECISIONS = ("auto", "fp32", "bf16", "fp16")
DEVICES = ("auto", "cpu", "cuda")
OWNERS = ("model", "method", "frontend")
"""What has options in a spec."""


_SHA256 = (re.compile(r"[0-9a-f]{64}"), "64 hexadecimal digits")
_START = (re.compile(r"[0-9a-f]{16}:(last|best-test|best-val|stage-[0-9]{1,4})"), "like 0123456789abcdef:last")
_PARTIAL = (re.compile(r"partial \([0-9]{1,9} of [0-9]{1,9}\)"), "like 'partial (198 of 920)'")
NOT_A_SPEC = "Name the spec.json of a run folder."


@dataclass(frozen=True, kw_only=True)
class RunSpec:
    """Everything that one run is. Each field's doc is the CLI's help.

    A field of a part may be read by its flat name too (``spec.lr`` is ``spec.optim.lr``).
    """

    model: str = identity_field("model id", settable=False)
    model_options: Mapping[str, Any] = identity_field("options of the model", settable=False)
    pretrain: str = identity_field("pretrained weights by name, `none`, or `file`", settable=False)
    weights_sha256: str | None = identity_field("hash of the weights file", None, settable=False, form=_SHA256)
    method: str = identity_field("method id", settable=False)
    method_options: Mapping[str, Any] = identity_field("options of the method", settable=False)
    frontend: str = identity_field("front-end id", settable=False)
    frontend_version: int = identity_field("version of the front-end", settable=False, low=0, high=10**6)
    frontend_options: Mapping[str, Any] = identity_field("options of the front-end", settable=False)
    dataset: str = identity_field("data set id", settable=False)
    task: str = identity_field("task of the data set: what is judged", FOUR_CLASSES.id, since=4, settable=False)
    data_fingerprint: str = identity_field("hash of recordings, annotations and split", settable=False, form=_SHA256)
    partial: str | None = identity_field(
        "how much of the set is there, where not all is", None, settable=False, form=_PARTIAL
    )
    split: str = identity_field(
        "what is judged: `official`, or held-out training patients, `training-fold-1-of-5`", "official", settable=False
    )
    val_fraction: float = identity_field(
        "share of training patients' cycles held out for `best-val`", 0.0, low=0.0, high=0.5
    )
    optim: OptimOptions = dataclasses.field(default_factory=OptimOptions)
    schedule: ScheduleOptions = dataclasses.field(default_factory=ScheduleOptions)
    sampling: SamplingOptions = dataclasses.field(default_factory=SamplingOptions)
    augment: AugmentOptions = dataclasses.field(default_factory=AugmentOptions)
    vote: str = identity_field(
        "how the scores of a cycle's pieces become its own, where a front-end cuts cycles into pieces",
        "mean",
        since=3,
        choices=VOTES,
    )
    init_from: str | None = identity_field(
        "run that the training starts from, and which of its weights: RUN_ID:last, :best-test, :best-val or :stage-N",
        None,
        since=3,
        settable=False,
        form=_START,
    )
    best_min_se: float = identity_field(
        "an epoch can be best only where Se is above this, percent", 5.0, low=0.0, high=100.0
    )
    seed: int = identity_field("seed of all that is drawn at random", 1, low=0, high=2**32 - 1)
    precision: str = identity_field("fp32, bf16 or fp16", "fp32", choices=("fp32", "bf16", "fp16"))
    tf32: str = identity_field(
        "what a GPU rounds to TF32 (10 bits) where it computes in fp32: convolutions, as torch does, all, or none",
        "convolutions",
        since=6,
        choices=("none", "convolutions", "all"),
    )
    extensions: Mapping[str, str] = identity_field(
        "versions of what comes from a plug-in, by owner (model, method, frontend, dataset)", {}, settable=False
    )
    numerics: int = identity_field(
        "raised when a change of the code moves results", NUMERICS, settable=False, low=1, high=10**6
    )

    profile: str = execution_field("which recipes the spec began with", "paper", settable=False, choices=PROFILES)
    distribution: DistributionOptions = dataclasses.field(default_factory=DistributionOptions)
    tracking: TrackingOptions = dataclasses.field(default_factory=TrackingOptions)
    plugins: tuple[str, ...] = execution_field("plug-in files that ids are looked up in", (), settable=False)
    weights: str | None = execution_field("where the weights file is", None, settable=False)
    init_weights: str | None = execution_field("run folder that init_from is read from", None, since=3, settable=False)
    init_weights_sha256: str | None = execution_field(
        "hash of the file that init_from is read from, at the start", None, since=3, settable=False, form=_SHA256
    )
    data: str = execution_field("folder of the data", "", settable=False)
    cache: str = execution_field("folder of features and weights", "", settable=False)
    study: Mapping[str, Any] = execution_field("the study that the run belongs to, and as what", {}, settable=False)
    part_of: str = execution_field("composite system that the run is trained for", "", settable=False, since=3)

    if not TYPE_CHECKING:
        # For scripts and notebooks, which read what documents say (`run.spec.lr`); code of ours names the part.
        def __getattr__(self, name: str) -> Any:
            part, field = flat_fields(type(self)).get(name, (None, None))
            if part is None:
                raise AttributeError(f"RunSpec has no field '{name}'")
            return getattr(getattr(self, part), field.name)

    @classmethod
    def of(cls, **fields: Any) -> RunSpec:
        """Make a spec from its flat form.

        Args:
            fields: Fields by their flat names; those that have a default may be left out.

        Raises:
            TypeError: If a field is unknown, or lacks a value.
        """
        declared: type = cls
        known, classes = flat_fields(declared), parts_of(declared)
        own: dict[str, Any] = {}
        parts: dict[str, dict[str, Any]] = {name: {} for name in classes}
        for name, value in fields.items():
            if name not in known:
                raise TypeError(f"RunSpec has no field '{name}'")
            part, field = known[name]
            (own if part is None else parts[part])[field.name] = value
        return cls(**own, **{name: classes[name](**values) for name, values in parts.items()})

    def changed(self, **fields: Any) -> RunSpec:
        """Make a spec that differs from this one in some fields, given by their flat names."""
        return type(self).of(**{**self.flat(), **fields})

    def flat(self) -> dict[str, Any]:
        """The flat form: the value of every field of the spec and of its parts, by its one name."""
        declared: type = type(self)
        names, values_of = _names_and_values(declared)
        return dict(zip(names, values_of(self), strict=True))

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
        """The fields that say how and where it runs, but for later ones that have their default."""
        declared: type = type(self)
        later = later_flat_defaults(declared)
        fields = self._fields("execution")
        return {name: value for name, value in fields.items() if name not in later or value != later[name]}

    def _fields(self, role: Role) -> dict[str, Any]:
        declared: type = type(self)
        wanted = _fields_with_role(declared, role)
        return {name: _plain(value) for name, value in self.flat().items() if name in wanted}

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
        spec = cls.of(**{**parts["identity"], **execution})
        given = document.get("run_id", spec.run_id)
        if given != spec.run_id:
            raise SpecError(
                f"The spec says that its run id is '{echoed(given)}', but that of its fields is {spec.run_id}.",
                "It was edited: take it from the run folder again, or leave the run id out.",
            )
        return spec


@functools.cache
def _names_and_values(kind: type) -> tuple[tuple[str, ...], Callable[[RunSpec], tuple[Any, ...]]]:
    """The flat names of a class's fields, and what reads the value of each from a spec."""
    fields = flat_fields(kind)
    places = [field.name if part is None else f"{part}.{field.name}" for part, field in fields.values()]
    return tuple(fields), operator.attrgetter(*places)


def without_defaults(identity: Mapping[str, Any], cls: type | None = None) -> dict[str, Any]:
    """Leave out the fields and options of later versions (``since``) where they have their default.

    A run of before such a field was run with what is now its default: it keeps its id, and its place among the rows of
    a board.

    Args:
        identity: Identity fields by name.
        cls: The class of the spec; :class:`RunSpec` where it is left out.
    """
    later = later_flat_defaults(cls or RunSpec)
    found = {name: value for name, value in identity.items() if name not in later or value != later[name]}
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
    found = {**later_flat_defaults(RunSpec), **identity}
    for owner, options in _known_options(identity).items():
        name = f"{owner}_options"
        found[name] = {**later_defaults(options), **found.get(name, {})}
    return found


def _known_options(identity: Mapping[str, Any]) -> dict[str, type]:
    """The options classes of model, method and front-end by owner, where their code is here in the spec's version."""
    from bench.experiment.registries import registries

    known, versions = registries(), identity.get("extensions", {})
    found = {owner: known[owner].options(identity[owner], versions.get(owner)) for owner in OWNERS if owner in identity}
    return {owner: options for owner, options in found.items() if options is not None}


def _plain(value: Any) -> Any:
    # Nearly all values: to ask whether they are mappings takes ten times as long.
    if value is None or type(value) in (str, float, int, bool):
        return value
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


def fields_with_role(role: Role) -> Mapping[str, dataclasses.Field[Any]]:
    """The fields of a spec's identity or execution, by flat name."""
    return _fields_with_role(RunSpec, role)


@functools.cache
def _fields_with_role(kind: type, role: Role) -> Mapping[str, dataclasses.Field[Any]]:
    return {name: field for name, (_, field) in flat_fields(kind).items() if field.metadata["role"] == role}


def field_type(name: str) -> Any:
    """The type of a field, by its flat name."""
    return _field_type(RunSpec, name)


@functools.cache
def _field_type(kind: type, name: str) -> Any:
    part, field = flat_fields(kind)[name]
    return field_types(RunSpec if part is None else parts_of(RunSpec)[part])[field.name]


def check_fields(values: Mapping[str, Any], role: Role) -> None:
    """Check the fields of a spec's part as a document holds them: names, types, ranges, bounds.

    Args:
        values: Fields by name, of any origin.
        role: Which part they are.

    Raises:
        SpecError: At the first that is unknown (a name is suggested), missing, or cannot be.
    """
    fields = fields_with_role(role)
    for name in values:
        if name not in fields:
            raise SpecError(f"Unknown field '{echoed(name)}' in the spec: {suggestion(str(name), fields)}", UPDATE)
    for name, field in fields.items():
        if name in values:
            value = values[name]
            check = _check_single if type(value) in KINDS or value is None else _check_value
            check(value, name, field)
        elif field.default is field.default_factory is dataclasses.MISSING:
            raise SpecError(f"The spec is incomplete: it lacks '{name}'.", NOT_A_SPEC)


@functools.lru_cache(maxsize=4096, typed=True)
def _check_single(value: Any, name: str, field: dataclasses.Field[Any]) -> None:
    """As :func:`_check_value`; the specs of a matrix share most of their values, and each is judged once."""
    _check_value(value, name, field)


def _check_value(value: Any, name: str, field: dataclasses.Field[Any]) -> None:
    kind = field_type(name)
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


def settable_fields() -> Mapping[str, dataclasses.Field[Any]]:
    """The spec's fields that ``--set key=value`` may change, by flat name."""
    return _settable_fields(RunSpec)


@functools.cache
def _settable_fields(kind: type) -> Mapping[str, dataclasses.Field[Any]]:
    fields = {name: field for name, (_, field) in flat_fields(kind).items()}
    return {name: field for name, field in fields.items() if field.metadata.get("settable", True)}


def check_field(name: str, value: Any) -> Any:
    """Convert and check the value of a settable field; raises SpecError as ``bench.core.options.check_value`` does."""
    return check_value(value, field_type(name), name, settable_fields()[name].metadata)


def read_spec(path: Path) -> RunSpec:
    """Read a spec from a JSON file (``spec.json`` of a run folder).

    Raises:
        SpecError: If the file cannot be read or holds something else.
    """
    document = documents.read_json(path, f"the spec {path}", NOT_A_SPEC)
    if not isinstance(document, dict) or "identity" not in document:
        raise SpecError(f"{path} holds no run spec.", NOT_A_SPEC)
    return RunSpec.from_json(document)
