"""The one declaration of a run's result, the document ``result.json``.

Everything else that knows the fields of a result asks here: what a document from elsewhere must look like
(:mod:`leaderboard.results.validation`), which columns of the database hold it (:func:`names_stored_as`), what the
command line prints of it (:func:`printed`), and what the engine writes. A result stays a plain dictionary, so that
fields of later versions and the order of all fields come through unchanged.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired, cast, get_args, get_type_hints

from annotated_types import MaxLen
from pydantic import AfterValidator, BeforeValidator, ConfigDict, FailFast, Field, GetPydanticSchema, with_config
from pydantic_core import PydanticCustomError
from typing_extensions import TypedDict

from bench.core.datasets import MOST_CLASSES
from leaderboard.metrics import LARGEST_COUNT, Metrics
from leaderboard.tasks import JudgedTask, judged_task

SCHEMA = 1
"""Version of the document's form."""

Kind = Literal["run", "trial", "submission", "part", "composite", "ensemble"]
"""Where a result comes from: trained here, trained for a search alone, a system from outside by its predictions,
trained as a part of a composite system, or the combined predictions of such parts, or of finished runs."""

COMBINED: tuple[Kind, ...] = ("composite", "ensemble")
"""Kinds whose predictions are those of other results, combined."""

UNRANKED: tuple[Kind, ...] = ("trial", "part")
"""Kinds that are kept on the board and are no row of it."""

Rule = Literal["last", "best-test", "best-val"]
RULES: tuple[Rule, ...] = get_args(Rule)
"""Selection rules: the last epoch, the best on test (the field's habit), the best on held-out training patients."""

StoredAs = Literal["value", "object", "rows"]

STRICT = ConfigDict(strict=True, allow_inf_nan=False)
"""How a document from elsewhere is read: no value is converted, numbers are finite."""


@dataclass(frozen=True)
class Stored:
    """Mark of a field that the board's database holds by itself.

    Attributes:
        as_: ``value`` in a column of the runs, ``object`` in a JSON column of the runs, ``rows`` in a table of its own.
    """

    as_: StoredAs


@dataclass(frozen=True)
class Printed:
    """Mark of a field that ``bench run --format json`` prints."""


VALUE, OBJECT, ROWS, PRINTED = Stored("value"), Stored("object"), Stored("rows"), Printed()


# --- kinds of fields --------------------------------------------------------------------------------------------


def wrong(expected: str) -> PydanticCustomError:
    """The error of a value that is not what was expected, which is said in a few words."""
    return PydanticCustomError("wrong", "{expected}", {"expected": expected})


def _text_of(form: str, expected: str) -> AfterValidator:
    """A text that matches a regular expression from its first character to its last."""
    pattern = re.compile(form)

    def check(text: str) -> str:
        if not pattern.fullmatch(text):
            raise wrong(expected)
        return text

    return AfterValidator(check)


def _check_moment(text: str) -> str:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise wrong("a UTC time in ISO 8601")
    return text


def _named(known: Sequence[str], *, all_of_them: bool = False) -> BeforeValidator:
    """An object whose names are known ones.

    The names are looked at before the values: the faults of a million unknown ones would take a gigabyte.
    """

    def check(value: Any) -> Any:
        if isinstance(value, dict):
            for name in value:
                if name not in known:
                    raise PydanticCustomError("unknown_name", "{name}", {"name": name, "known": known})
            for name in known if all_of_them else ():
                if name not in value:
                    raise PydanticCustomError("lacks", "{name}", {"name": name})
        return value

    return BeforeValidator(check)


LOSS_NAME = "[A-Za-z][A-Za-z0-9 ._-]{0,39}"
"""What a name of a loss looks like, as a regular expression."""

MOST_LOSSES = 32
"""Names of losses that an epoch holds at most."""


def _check_loss_names(value: Any) -> Any:
    if isinstance(value, dict):
        if len(value) > MOST_LOSSES:
            raise wrong(f"at most {MOST_LOSSES} numbers by name")
        if not all(isinstance(name, str) and re.fullmatch(LOSS_NAME, name) for name in value):
            raise wrong("numbers by names of at most 40 letters, digits, spaces and ._-")
    return value


def _as(form: Any) -> GetPydanticSchema:
    """A dictionary that is validated as a form of its own, and that code reads by any name."""
    return GetPydanticSchema(lambda _source, handler: handler.generate_schema(form))


Count = Annotated[int, Field(ge=1, le=LARGEST_COUNT)]
Objects = dict[str, Any]
RunId = Annotated[str, _text_of("[0-9a-f]{16}", "16 hexadecimal characters")]
FileName = Annotated[str, _text_of("[A-Za-z0-9][A-Za-z0-9._-]{0,99}", "the name of a file of the run folder")]


# --- the parts of a result --------------------------------------------------------------------------------------


@with_config(STRICT)
class RuleMetrics(Metrics):
    """Metrics under a selection rule, and the epoch that they belong to."""

    epoch: Count | None
    """Epoch that the rule chose, counted from 1; null where a submission does not say."""


def _check_sensitivities(value: Any) -> Any:
    if isinstance(value, dict) and not all(isinstance(name, str) and _SENSITIVITY.fullmatch(name) for name in value):
        raise wrong("metrics by sensitivity, as 4class and 2class")
    return value


_SENSITIVITY = re.compile(r"[1-9][0-9]?class")
_OF_SENSITIVITIES = BeforeValidator(_check_sensitivities)

ByJudged = Annotated[dict[str, Metrics], _OF_SENSITIVITIES]
RuleMetricsByJudged = Annotated[dict[str, RuleMetrics], _OF_SENSITIVITIES]
"""Metrics by the sensitivities of the result's task; which these are is checked beside the other fields."""


@with_config(STRICT)
class EpochRow(TypedDict):
    """One epoch of a run."""

    epoch: Count
    """Number of the epoch, counted from 1."""
    loss: float | None
    """Mean loss over the steps of the epoch; null where it was not finite."""
    lr: float
    """Learning rate at the end of the epoch."""
    seconds: float
    """Duration of the epoch in seconds, its evaluation included."""
    cycles_per_second: float
    """Breathing cycles that were trained on in a second."""
    test: ByJudged | None
    """Metrics of the test part after the epoch, by judged (``4class``, ``2class``); null where it was not evaluated."""
    val: ByJudged | None
    """Metrics of the held-out training patients, by judged (``4class``, ``2class``); null where none are held out."""
    losses: NotRequired[Annotated[dict[str, float | None], BeforeValidator(_check_loss_names)]]
    """Mean of each other loss that the method names, as ``ce``; null for one that was not finite."""


@with_config(STRICT)
class SpecFields(TypedDict):
    """The fields of a run's spec that the board reads; only the harness knows the others."""

    model: Annotated[str, MaxLen(200), VALUE]
    """Id of the model, or the architecture that a submission states."""
    method: Annotated[str, MaxLen(200), VALUE]
    """Id of the training method, or the one that a submission states."""
    pretrain: Annotated[str, MaxLen(200), VALUE]
    """Name, file or address of the weights that the training began with."""
    dataset: Annotated[str, MaxLen(40), VALUE]
    """Id of the data set that was judged."""
    task: NotRequired[Annotated[str, MaxLen(40)]]
    """Id of the task of the data set; a result without it is of four classes of respiratory cycles."""
    seed: Annotated[int, VALUE]
    """Seed of the training; runs that differ in nothing else are one system."""
    split: Annotated[str, MaxLen(80), VALUE]
    """Split of the data set into training and test part."""
    data_fingerprint: Annotated[str, MaxLen(64), VALUE]
    """Hash of the recordings and annotations."""
    precision: Annotated[str, MaxLen(8), VALUE]
    """Floating-point precision of the training, as ``fp32``."""
    system: NotRequired[str]
    """Name of the system of a submission."""
    partial: NotRequired[str | None]
    """How much of the data set there was, where not all of it."""
    epochs: NotRequired[int]
    """Number of epochs."""
    batch: NotRequired[int]
    """Cycles in a batch, over all processes."""
    model_options: NotRequired[Objects]
    """Options of the model by name."""
    method_options: NotRequired[Objects]
    """Options of the method by name."""
    frontend_options: NotRequired[Objects]
    """Options of the front-end by name."""
    extensions: NotRequired[Objects]
    """Versions of the plug-ins that take part, by id."""
    combine: NotRequired[str]
    """How the scores of parts become those of a composite or an ensemble."""
    parts: NotRequired[Objects]
    """By part of a composite or an ensemble, a hash of its spec without the seed."""


@with_config(STRICT)
class Study(TypedDict):
    """What a run of a search says of it."""

    name: str
    """Name of the study."""
    objective: str
    """Part of the data that the search looks at: ``val`` or ``test``."""
    role: Literal["trial", "final"]
    """Whether the run is one trial, or is trained with the parameters that the search found."""
    space: NotRequired[Objects]
    """Search space by parameter."""
    trial: NotRequired[int]
    """Number of the trial whose parameters a final run has."""
    gpu_hours: NotRequired[float]
    """Hours of GPUs that the search took."""
    cpu_hours: NotRequired[float]
    """Hours of CPUs that the search took."""
    trials: NotRequired[int]
    """Number of trials that were started."""
    complete: NotRequired[int]
    """Number of trials that were trained to their end."""
    pruned: NotRequired[int]
    """Number of trials that were given up after an epoch."""
    fail: NotRequired[int]
    """Number of trials that failed."""
    test_evaluations: NotRequired[int]
    """Number of parameter sets that the test part was looked at for."""
    folds: NotRequired[int]
    """Number of folds of training patients that a trial is judged on."""
    seeds_per_trial: NotRequired[int]
    """Number of seeds that a trial is trained with."""


@with_config(STRICT)
class Submission(TypedDict):
    """What the submitter of a system from outside states, and the file that was judged."""

    selection: str
    """Selection rule that the submitter states."""
    sha256: str
    """SHA-256 of the submitted file in hexadecimal characters."""
    scores: bool
    """Whether the file holds scores, rather than chosen classes."""
    file: NotRequired[str | None]
    """Name of the copy of the submitted file in the folder of the submission."""
    name: NotRequired[str | None]
    """Name that the submitted file had."""
    paper: NotRequired[str | None]
    """Citation of the paper that describes the system."""
    url: NotRequired[str | None]
    """Address where to read on."""
    notes: NotRequired[str | None]
    """Anything else that the submitter says."""
    key: NotRequired[str | None]
    """Public key of the submitter."""
    signature: NotRequired[str | None]
    """Signature of the submission under that key."""
    inputs: NotRequired[Objects]
    """What the system uses beside the sound of one cycle (:mod:`leaderboard.results.inputs`)."""


@with_config(STRICT)
class Part(TypedDict):
    """A result whose predictions are a part of a combined one."""

    name: Annotated[str, MaxLen(200)]
    """Name of the part in its composite; in an ensemble the id of its run."""
    run_id: RunId
    """Id of the run that gives the predictions."""
    device: NotRequired[str]
    """Recording device that the part serves, where the combination routes by device."""
    default: NotRequired[bool]
    """Whether the part serves the devices that no other part does."""


@with_config(STRICT)
class TaskPart(TypedDict):
    """A tested part, as a result names it."""

    id: Annotated[str, MaxLen(40)]
    """Word for it in files."""
    title: Annotated[str, MaxLen(200)]
    """Name in print."""
    patients_seen: bool
    """Whether its patients have recordings in the training part."""


@with_config(STRICT)
class TaskFields(TypedDict):
    """What a result says of its task (:class:`bench.core.datasets.TaskCard`), to be readable without the data set."""

    id: Annotated[str, MaxLen(40)]
    """Id of the task."""
    title: Annotated[str, MaxLen(200)]
    """Name of the task in print."""
    dataset: Annotated[str, MaxLen(200)]
    """Name of the data set in print."""
    simulated: bool
    """Whether the data were made by a program."""
    unit: Annotated[str, MaxLen(40)]
    """What one label is of."""
    classes: Annotated[list[str], Field(min_length=2, max_length=MOST_CLASSES), FailFast()]
    """Names of the classes; the first is the normal one."""
    shared: Annotated[list[str | None], Field(max_length=MOST_CLASSES), FailFast()]
    """What each class is to other tasks."""
    score: Literal["mean", "challenge"]
    """How the Score follows from Se and Sp."""
    ranking: Literal["score", "as", "hs", "se", "sp"]
    """Metric that systems are ranked by."""
    parts: Annotated[list[TaskPart], Field(min_length=1, max_length=20), FailFast()]
    """Tested parts; the first is the one that epochs are chosen and systems ranked by."""


@with_config(STRICT)
class ResultDocument(TypedDict):
    """The content of ``result.json``."""

    schema: int
    """Version of the document's form: 1."""
    run_id: Annotated[RunId, VALUE, PRINTED]
    """Id of the run: a hash of its spec, or of the predictions of a submission."""
    status: Annotated[Literal["finished", "failed", "pruned"], VALUE, PRINTED]
    """How the run ended; a trial is pruned where its search gave it up after an epoch."""
    error: Annotated[str | None, VALUE, PRINTED]
    """Error that ended a run that has not finished, on one line."""
    created: Annotated[str, MaxLen(40), AfterValidator(_check_moment), VALUE]
    """Time at which the result was made: UTC in ISO 8601."""
    spec: Annotated[Objects, _as(SpecFields), OBJECT, PRINTED]
    """Identity fields of the spec: all that can change the numbers."""
    execution: Annotated[Objects, OBJECT]
    """How and where the spec was run: fields that do not change the numbers."""
    profile: Annotated[str, MaxLen(40), VALUE, PRINTED]
    """Recipes that the spec began with: ``paper`` or ``demo``; ``submission`` for one from outside."""
    partial: Annotated[str | None, MaxLen(80), VALUE, PRINTED]
    """How much of the data set there was, where not all of it."""
    metrics: Annotated[dict[str, RuleMetricsByJudged | None], _named(RULES), ROWS, PRINTED]
    """Metrics by selection rule, then by judged (``4class``, ``2class``); null for a rule without an epoch."""
    epochs: Annotated[list[EpochRow], FailFast(), ROWS, PRINTED]
    """Epochs of the run in their order."""
    predictions: Annotated[dict[str, FileName | None], _named(RULES), ROWS, PRINTED]
    """Names of the files of predictions in the run folder, by selection rule."""
    provenance: Annotated[Objects, OBJECT]
    """Code, packages, machine and memory of the run."""
    seconds: Annotated[float | None, VALUE, PRINTED]
    """Duration of the training in seconds; null for a submission."""
    cycles_per_second: Annotated[float | None, VALUE, PRINTED]
    """Breathing cycles that were trained on in a second; null for a run that failed."""
    kind: NotRequired[Kind]
    """Where the result comes from; a document without it is of a run."""
    task: NotRequired[TaskFields]
    """What was judged; a result without it is of four classes of respiratory cycles."""
    other_parts: Annotated[
        NotRequired[dict[str, Annotated[dict[str, RuleMetricsByJudged | None], _named(RULES)]]], ROWS
    ]
    """Metrics of the tested parts beside the main one, whose metrics are ``metrics``: by part, rule and judged."""
    submission: NotRequired[Annotated[Objects, _as(Submission)]]
    """What the submitter of a system from outside states."""
    study: NotRequired[Annotated[Objects, _as(Study)]]
    """Study that the run was made for."""
    best_above_min_se: NotRequired[Annotated[dict[str, bool], _named(RULES)]]
    """By rule, whether the chosen epoch reached the least Se; a best one without it is best for want of another."""
    chosen: NotRequired[Objects]
    """What the run chose by itself for settings whose value leaves it the choice, by dotted name."""
    patients_on_both_sides: NotRequired[Annotated[list[str], FailFast()]]
    """Patients with cycles in the training and in the test part of the set that the run was made on."""
    judged_set: NotRequired[str]
    """Hash of the judged cycles (:mod:`leaderboard.results.judged_set`); older results do not say it."""
    part_of: NotRequired[Annotated[str, MaxLen(200)]]
    """Name of the composite system that the run was trained for as a part."""
    parts: NotRequired[Annotated[list[Part], FailFast()]]
    """Parts of a composite or an ensemble, by name."""
    inputs: NotRequired[Objects]
    """What a composite or an ensemble uses beside the sound of one cycle (:mod:`leaderboard.results.inputs`)."""


def kind_of(document: Mapping[str, Any] | ResultDocument) -> Kind:
    """Where a result comes from."""
    return cast(Kind, document.get("kind", "run"))


def task_of(document: Mapping[str, Any] | ResultDocument) -> JudgedTask:
    """What a result was judged on."""
    return judged_task(document["spec"], document.get("task"))


# --- what follows from the declaration --------------------------------------------------------------------------


@cache
def marks_of(form: Any) -> dict[str, tuple[Any, ...]]:
    """What is annotated to the fields of a form, by name, in the order of their declaration."""
    hints = get_type_hints(form, include_extras=True)
    return {name: getattr(hint, "__metadata__", ()) for name, hint in hints.items()}


def names_stored_as(place: StoredAs, form: Any = ResultDocument) -> tuple[str, ...]:
    """Names of the fields of a form that the board's database holds in one way."""
    return tuple(name for name, marks in marks_of(form).items() if Stored(place) in marks)


def longest_texts(form: Any) -> dict[str, int]:
    """How many characters the board takes of the texts of a form, by the name of the field."""
    return {
        name: mark.max_length for name, marks in marks_of(form).items() for mark in marks if isinstance(mark, MaxLen)
    }


def printed(document: Mapping[str, Any] | ResultDocument, folder: Path) -> dict[str, Any]:
    """The JSON of one run as ``bench run --format json`` prints it, for scripts to rely on.

    Args:
        document: The result.
        folder: The run's folder; the files of predictions are printed with their paths in it.
    """
    files = {rule: str(folder / name) for rule, name in document["predictions"].items() if name}
    found: dict[str, Any] = {}
    for name, marks in marks_of(ResultDocument).items():
        if name == "predictions":
            found |= {"predictions": files.get("last"), "predictions_by_rule": files}
        elif PRINTED in marks:
            found[name] = cast(Mapping[str, Any], document)[name]
    if "parts" in document:
        found |= {"kind": kind_of(document), "parts": document["parts"]}
    found |= {
        name: cast(Mapping[str, Any], document)[name] for name in ("task", "other_parts", "chosen") if name in document
    }
    return {**found, "folder": str(folder)}
