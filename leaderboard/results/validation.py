"""The judge of result documents: a document from elsewhere is believed only as far as this goes.

First every field is held to its declaration (:mod:`leaderboard.results.schema`), then to the others: the run id follows
from the spec, rates follow from their confusion matrix, a finished run has metrics. The first fault ends it, and is
told by the path of its field, what stands there and what was expected. What the fields of a spec may be, beyond those
that the board reads, only the harness knows: it lends its judge.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import islice
from typing import Any, cast

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from bench.core.datasets import FOUR_CLASSES, TaskCard
from bench.core.documents import collector_paused, spec_judges
from bench.core.errors import BenchError, ResultError
from bench.core.text import echoed
from leaderboard.metrics import LARGEST_COUNT, Metrics, metrics_of
from leaderboard.results.combinations import COMBINATIONS, POOLINGS, ROUTE
from leaderboard.results.inputs import check_inputs
from leaderboard.results.schema import COMBINED, SCHEMA, Part, ResultDocument, TaskFields, kind_of, task_of
from leaderboard.tasks import is_first_task, task_document

TOLERANCE = 1e-9
"""Percent points by which a stored metric may differ from the recomputed one."""

EDITED = "The document was edited, or is of two runs: run it again with --rerun."

_SHOWN = 60
"""Characters of a value that a message shows."""


def validate(document: Mapping[str, Any] | Any, where: str) -> ResultDocument:
    """Check the form of a result document, and that its fields agree with one another.

    Args:
        document: What was read within the bounds of :func:`bench.core.documents.parse_document`, or is to be written.
        where: Its file, for messages.

    Returns:
        The same document, typed.

    Raises:
        ResultError: At the first field that is missing or wrong; its path, its value and what was expected are named.
    """
    if not isinstance(document, dict):
        raise ResultError(f"{where} holds no result document.", EDITED)
    check_schema(document.get("schema"), where)
    check_form(_form(), document, where)
    result = cast(ResultDocument, document)
    for check in _CHECKS:
        for fault in check(result):
            raise ResultError(f"{where}: {fault}", EDITED)
    check_inputs(result.get("submission", {}).get("inputs", {}), f"{where}: submission.inputs")
    check_inputs(result.get("inputs", {}), f"{where}: inputs")
    return result


def check_form(form: TypeAdapter[Any], document: Mapping[str, Any], where: str) -> None:
    """Hold every field of a document to its declaration.

    Args:
        form: The declaration.
        document: What was read.
        where: Its file, for messages.

    Raises:
        ResultError: At the first field that is missing or wrong; its path, its value and what was expected are named.
    """
    try:
        with collector_paused():
            form.validate_python(document)
    except ValidationError as error:
        # Texts of the values are made for the first fault alone: there may be many, and each may be long.
        first = error.errors(include_url=False)[0]
        raise ResultError(f"{where}{_sentence(first)}", EDITED) from None


@cache
def _form() -> TypeAdapter[ResultDocument]:
    return TypeAdapter(ResultDocument)


def check_task_form(document: Mapping[str, Any], where: str) -> None:
    """Check the form of what a result says of its task, and of the fields that name it; raises ResultError."""
    names = [document["spec"].get(name) for name in ("dataset", "task")]
    if not all(isinstance(name, str | None) for name in names):
        raise ResultError(f"{where}: spec.dataset and spec.task must be texts.", EDITED)
    try:
        if "task" in document:
            _task_form().validate_python(document["task"])
    except ValidationError as error:
        raise ResultError(f"{where}: task{_sentence(error.errors(include_url=False)[0])}", EDITED) from None


@cache
def _task_form() -> TypeAdapter[TaskFields]:
    return TypeAdapter(TaskFields)


def judge_spec(document: ResultDocument, where: str) -> None:
    """Ask those whom the harness has lent (:func:`bench.core.documents.specs_judged_by`) about a result's spec.

    Raises:
        ResultError: If no run can have had it.
    """
    if kind_of(document) in ("submission", *COMBINED):
        return
    # Each once, however often it was lent: calls within one another lend the same.
    for judge in dict.fromkeys(spec_judges):
        try:
            judge(document["spec"])
        except BenchError as error:
            raise ResultError(f"{where}: {error.message}", error.hint) from error


def run_id_of(spec: Mapping[str, Any]) -> str:
    """The id of a run: 16 hexadecimal characters, a hash of its spec's identity fields in canonical JSON."""
    text = json.dumps(spec, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def combined_id(kind: str, combination: str, parts: Sequence[Part]) -> str:
    """The id of a combined result: 16 hexadecimal characters, a hash of its kind, its combination and its parts.

    The parts count by their names, whatever their order; in an ensemble these are the ids of the runs.

    Args:
        kind: ``composite`` or ``ensemble``.
        combination: How the scores of the parts become one.
        parts: The parts, each with name, run id, and the device that it serves.
    """
    named = {part["name"]: [part["run_id"], part.get("device"), part.get("default", False)] for part in parts}
    text = json.dumps([kind, combination, named], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


# --- the sentence of a fault in the form ------------------------------------------------------------------------

_EXPECTED = {
    "string_type": "a text",
    "int_type": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "an object",
    "wrong": "{expected}",
    "literal_error": "{expected}",
    "greater_than_equal": "at least {ge:,}",
    "less_than_equal": "at most {le:,}",
    "too_short": "a list of {min_length}",
    "too_long": "a list of {max_length}",
}
"""What was expected, by the kind of fault that pydantic names."""


def _sentence(fault: ErrorDetails) -> str:
    """A fault in the form in one sentence, which follows the name of the file."""
    kind, context, places = fault["type"], fault.get("ctx", {}), fault["loc"]
    if kind in ("missing", "lacks"):
        name, outer = (places[-1], places[:-1]) if kind == "missing" else (context["name"], places)
        return f"{': ' * bool(outer)}{path_of(*outer)} lacks '{name}'."
    if kind == "unknown_name":
        return f": {path_of(*places)} names {shown(context['name'])}, but may name {', '.join(context['known'])}."
    path = path_of(*places)
    if kind == "string_too_long":
        return f": {path} has {len(fault['input']):,} characters, but the board takes {context['max_length']}."
    expected = _EXPECTED.get(kind, "a value that such a field holds")
    return f": {path} is {shown(fault['input'])}, but must be {expected.format(**context)}."


def path_of(*places: int | str) -> str:
    """The path of a field, as ``metrics.last.4class.confusion[2][1]``."""
    words = [f"[{place}]" if isinstance(place, int) else f".{echoed(place, _SHOWN)}" for place in places]
    return "".join(words).removeprefix(".")


def shown(value: Any) -> str:
    """A value for a message: as it stands where that is short, otherwise how long it is."""
    if isinstance(value, list | dict) and len(value) > _SHOWN:
        return f"{'a list' if isinstance(value, list) else 'an object'} of {len(value):,}"
    text = value[: 2 * _SHOWN] if isinstance(value, str) else value
    return echoed(repr(text), _SHOWN)


# --- what fields say of one another -----------------------------------------------------------------------------

Faults = Iterator[str]
"""Sentences that each tell one fault; the first is enough."""


def check_schema(schema: Any, where: str) -> None:
    """Refuse the document of another version; raises ResultError, which says what reads it."""
    if type(schema) is int and schema > SCHEMA:
        raise ResultError(
            f"{where} has the schema {schema}, but this lungbench reads up to {SCHEMA}.", "Update lungbench."
        )
    if type(schema) is not int or schema != SCHEMA:
        raise ResultError(f"{where}: schema is {shown(schema)}, but must be {SCHEMA}.", EDITED)


def _check_status(document: ResultDocument) -> Faults:
    status, spec = document["status"], document["spec"]
    if (status != "finished") != (document["error"] is not None):
        yield f"status is '{status}', but error is {shown(document['error'])}."
    if "partial" in spec and spec["partial"] != document["partial"]:
        yield f"partial is {shown(document['partial'])}, but that of its spec is {shown(spec['partial'])}."


def _check_kind(document: ResultDocument) -> Faults:
    """What a run must have and a submission need not, and the other way round."""
    status, rule = document["status"], "last"
    if kind_of(document) == "submission":
        if "submission" not in document:
            yield "lacks 'submission', but kind is 'submission'."
        if "system" not in document["spec"]:
            yield "spec lacks 'system', but kind is 'submission'."
        if status != "finished":
            yield f"status is '{status}', but a submission must be finished."
        rule = document["submission"]["selection"]
    elif document["seconds"] is None:
        yield "seconds is None, but must be a number for a run."
    if kind_of(document) in COMBINED:
        # Its parts share whatever rules they share.
        if not any(document["metrics"].values()):
            yield "there are no metrics."
    elif status == "finished" and document["metrics"].get(rule) is None:
        yield f"status is 'finished', but there are no metrics for {echoed(rule)}."


def _check_parts(document: ResultDocument) -> Faults:
    """What is combined names its parts, each once, and nothing else has any."""
    kind, parts = kind_of(document), document.get("parts", [])
    if (kind == "part") != ("part_of" in document):
        yield f"part_of is {shown(document.get('part_of'))}, but kind is '{kind}'."
    if kind not in COMBINED:
        if parts:
            yield f"parts names {len(parts)}, but kind is '{kind}'."
        return
    if document["status"] != "finished":
        yield f"status is '{document['status']}', but a {kind} must be finished."
    for name in ("combine", "parts"):
        if name not in document["spec"]:
            yield f"spec lacks '{name}', but kind is '{kind}'."
    if len(parts) < 2:
        yield f"parts names {len(parts)}, but a {kind} has two or more."
    names = [part["name"] for part in parts]
    if sorted(set(names)) != sorted(names) or set(names) != document["spec"]["parts"].keys():
        yield f"parts names {shown(names)}, but spec.parts names {shown(list(document['spec']['parts']))}."
    if len({part["run_id"] for part in parts}) < len(parts):
        yield "parts names a run twice."
    yield from _check_combination(document, parts)


def _check_combination(document: ResultDocument, parts: Sequence[Part]) -> Faults:
    """A combined result says in one way how it is combined, which device each part serves, and of how many models."""
    kind, spec = kind_of(document), document["spec"]
    known = POOLINGS if kind == "ensemble" else COMBINATIONS
    if spec["combine"] not in known:
        yield f"spec.combine is {shown(spec['combine'])}, but must be {' or '.join(known)}."
    if spec["method"] != spec["combine"]:
        yield f"spec.method is {shown(spec['method'])}, but spec.combine is {shown(spec['combine'])}."
    served = {part["name"]: None if part.get("default") else part.get("device") for part in parts}
    is_route = spec["combine"] == ROUTE
    if is_route != ("route" in spec) or (is_route and spec["route"] != served):
        yield f"spec.route is {shown(spec.get('route'))}, but the parts serve {shown(served)}."
    for place, part in enumerate(parts):
        if is_route != ("device" in part or part.get("default", False)):
            yield f"parts[{place}] serves {shown(part.get('device'))}, but spec.combine is {shown(spec['combine'])}."
        if kind == "ensemble" and part["name"] != part["run_id"]:
            yield f"parts[{place}].name is {shown(part['name'])}, but must be its run_id in an ensemble."
    models = document.get("inputs", {}).get("ensemble")
    if not is_route and (type(models) is not int or models < len(parts)):
        yield f"inputs.ensemble is {shown(models)}, but {len(parts)} parts are combined."


def _check_study(document: ResultDocument) -> Faults:
    """A run says which study it belongs to, and trials and final runs are what they say."""
    role = document["study"]["role"] if "study" in document else None
    if (kind_of(document) == "trial") != (role == "trial"):
        yield f"kind is '{kind_of(document)}', but study.role is {shown(role)}."


def _check_run_id(document: ResultDocument) -> Faults:
    """A run has the id of its spec, what is combined that of its parts; a submission's follows from predictions too."""
    kind = kind_of(document)
    if kind == "submission":
        return
    if kind in COMBINED:
        source, expected = "parts", combined_id(kind, document["spec"]["combine"], document["parts"])
    else:
        source, expected = "spec", run_id_of(document["spec"])
    if document["run_id"] != expected:
        yield f"run_id is '{document['run_id']}', but that of its {source} is {expected}."


def _check_metrics(document: ResultDocument) -> Faults:
    is_submission, status = kind_of(document) == "submission", document["status"]
    for rule, metrics in document["metrics"].items():
        if metrics is None:
            continue
        if status != "finished":
            yield f"status is '{status}', but there are metrics for {rule}."
        if is_submission and rule != document["submission"]["selection"]:
            yield f"metrics.{rule} has metrics, but submission.selection is another rule."
        yield from _differences(metrics, f"metrics.{rule}", task_of(document).task)
        for judged in metrics:
            if metrics[judged]["epoch"] is None and kind_of(document) not in ("submission", *COMBINED):
                yield f"metrics.{rule}.{judged}.epoch is None, but must be a whole number for a run."
        if document["predictions"].get(rule) is None:
            yield f"predictions.{rule} is None, but must be the name of a file of the run folder."


def task_faults(document: Mapping[str, Any] | ResultDocument) -> Faults:
    """Say where a result describes its task otherwise than the card of its data set, where that is registered.

    Args:
        document: A result whose block of the task has the right form (:func:`check_task_form`).
    """
    told = document.get("task")
    try:
        judged = task_of(document)
    except BenchError as error:
        yield f"task is none that could be judged. {error.message}"
        return
    asked = document["spec"].get("task", FOUR_CLASSES.id)
    if told is None:
        if judged.task.id != asked:
            yield f"spec.task is {shown(asked)}, but the result does not say what that is."
        elif not is_first_task(judged.task):
            yield f"spec.task is {shown(asked)}, but the result lacks 'task', by which it is read in other places."
        return
    if told["id"] != asked:
        yield f"task.id is {shown(told['id'])}, but spec.task is {shown(document['spec'].get('task'))}."
    if judged.card is None:
        return
    card = task_document(judged.card, judged.task) or {}
    for name in ("simulated", "classes", "shared", "score", "ranking", "parts"):
        for path, one, other in islice(_unlike(f"task.{name}", cast(Mapping[str, Any], told)[name], card.get(name)), 1):
            yield f"{path} is {shown(one)}, but that of {judged.title} is {shown(other)}."


def _unlike(path: str, one: Any, other: Any) -> Iterator[tuple[str, Any, Any]]:
    """Where two JSON values differ: the path of the innermost difference, and what stands there in each."""
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for place, (left, right) in enumerate(zip(one, other, strict=True)):
            yield from _unlike(f"{path}[{place}]", left, right)
    elif isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        for name in one:
            yield from _unlike(f"{path}.{name}", one[name], other[name])
    elif one != other:
        yield path, one, other


def _check_other_parts(document: ResultDocument) -> Faults:
    """The parts beside the main one have metrics under every rule that the main one has metrics for."""
    parts, task = document.get("other_parts", {}), task_of(document).task
    rules = sorted(rule for rule, metrics in document["metrics"].items() if metrics is not None)
    wanted = {part.id for part in task.other_parts} if rules else set()
    if set(parts) != wanted or (not wanted and "other_parts" in document):
        yield f"other_parts names {shown(sorted(parts))}, but must name {shown(sorted(wanted))}."
    for part, by_rule in parts.items():
        if sorted(rule for rule, metrics in by_rule.items() if metrics is not None) != rules:
            yield f"other_parts.{part} has other rules than metrics."
        for rule, metrics in by_rule.items():
            if metrics is not None:
                yield from _differences(metrics, f"other_parts.{part}.{rule}", task)


def _check_epochs(document: ResultDocument) -> Faults:
    seen = set[int]()
    task = task_of(document).task
    for place, row in enumerate(document["epochs"]):
        if row["epoch"] in seen:
            yield f"epochs[{place}].epoch is {row['epoch']}, but epoch {row['epoch']} stands twice."
        seen.add(row["epoch"])
        for part, metrics in (("test", row["test"]), ("val", row["val"])):
            if metrics is not None:
                yield from _differences(metrics, f"epochs[{place}].{part}", task)


def _differences(metrics: Mapping[str, Metrics], path: str, task: TaskCard) -> Faults:
    """Metrics that are not those of the task, or do not follow from their confusion matrix."""
    for judged in (*metrics, *task.sensitivities):
        if judged not in task.sensitivities:
            yield f"{path} names {shown(judged)}, but may name {', '.join(task.sensitivities)}."
        if judged not in metrics:
            yield f"{path} lacks '{judged}'."
    for judged in task.sensitivities:
        yield from _differences_of(metrics[judged], judged, f"{path}.{judged}", task)


def _differences_of(metrics: Mapping[str, Any], judged: str, path: str, task: TaskCard) -> Faults:
    """Metrics of one sensitivity that do not follow from their confusion matrix."""
    size, confusion = len(task.classes), metrics["confusion"]
    for place, row in enumerate(confusion):
        if len(row) != size:
            yield f"{path}.confusion[{place}] is {shown(row)}, but must be a list of {size}."
    if len(confusion) != size:
        yield f"{path}.confusion is {shown(confusion)}, but must be a list of {size}."
    if sum(map(sum, confusion)) > LARGEST_COUNT:
        yield f"{path}.confusion has a sum above {LARGEST_COUNT:,}."
    try:
        computed: Mapping[str, Any] = metrics_of(confusion, judged, task=task)
    except ResultError as error:
        yield f"{path}.confusion gives no rates: {error.message}"
        return
    for name in (name for name in computed if name != "confusion"):
        if name not in metrics:
            yield f"{path} lacks '{name}'."
        if abs(metrics[name] - computed[name]) > TOLERANCE:
            yield f"{path}.{name} is {metrics[name]}, but its confusion matrix gives {computed[name]}."


_CHECKS = (
    *(_check_status, _check_kind, _check_parts, _check_study, _check_run_id, task_faults),
    *(_check_metrics, _check_other_parts, _check_epochs),
)
"""What is checked of a document whose form is right, one after the other."""
