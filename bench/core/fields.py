"""Fields of a run's spec: each says whether it is *identity* (it changes the result) or *execution*, and what it is.

The parts of a spec (optimiser, schedule, sampling, ...) declare their fields with these beside the code that reads
them. The spec takes the parts together; by its flat form every field is known by one name alone.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, Literal

from bench.core.options import check_given, check_value, field_types, later_defaults, since_metadata

Role = Literal["identity", "execution"]
ROLES: tuple[Role, ...] = ("identity", "execution")


def identity_field(doc: str, default: Any = dataclasses.MISSING, **limits: Any) -> Any:
    """Declare a field that changes the result of a run.

    Args:
        doc: One line that says what it is; the CLI's help.
        default: Default value; a dictionary is copied for each spec.
        limits: What :func:`bench.core.options.option` takes (``low``, ``high``, ``choices``, ``space``, ``since``),
            ``settable`` (False for what no user sets), ``form`` (a pattern, and words for it), and ``flat`` (the
            field's name in the flat form, where that is another one).
    """
    return _field("identity", doc, default, **limits)


def execution_field(doc: str, default: Any = dataclasses.MISSING, **limits: Any) -> Any:
    """Declare a field that says how or where a run is executed; it is no part of a run's id.

    Args:
        doc: One line that says what it is; the CLI's help.
        default: Default value; a dictionary is copied for each spec.
        limits: As for :func:`identity_field`.
    """
    return _field("execution", doc, default, **limits)


def _field(role: Role, doc: str, default: Any, since: int | None = None, **limits: Any) -> Any:
    metadata = {"role": role, "doc": doc, **limits, **since_metadata(since)}
    if isinstance(default, dict):
        return dataclasses.field(default_factory=default.copy, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def flat_name(field: dataclasses.Field[Any]) -> str:
    """The name of a part's field in the flat form of a spec."""
    name: str = field.metadata.get("flat", field.name)
    return name


@functools.cache
def parts_of(cls: type) -> Mapping[str, type]:
    """The parts of a spec's class by name, and the class of each."""
    # What is no field with a role of its own is a part, made by its class.
    return {field.name: field.default_factory for field in dataclasses.fields(cls) if "role" not in field.metadata}  # type: ignore[misc]


@functools.cache
def flat_fields(cls: type) -> Mapping[str, tuple[str | None, dataclasses.Field[Any]]]:
    """The fields of a spec's class in the flat form: by flat name, the part that holds it (or None), and the field.

    Raises:
        TypeError: If two fields have one name.
    """
    found: dict[str, tuple[str | None, dataclasses.Field[Any]]] = {}
    parts = parts_of(cls)
    for field in dataclasses.fields(cls):
        own = field.name not in parts
        inner = [(None, field)] if own else [(field.name, one) for one in dataclasses.fields(parts[field.name])]
        for place, one in inner:
            if flat_name(one) in found:
                raise TypeError(f"two fields of a spec are called '{flat_name(one)}'")
            found[flat_name(one)] = place, one
    return found


@functools.cache
def later_flat_defaults(cls: type) -> Mapping[str, Any]:
    """The defaults of the fields that came in a later version (``since``), by flat name."""
    later = {**later_defaults(cls)}
    for part in parts_of(cls).values():
        names = {field.name: flat_name(field) for field in dataclasses.fields(part)}
        later |= {names[name]: value for name, value in later_defaults(part).items()}
    return later


def check_part(part: Any) -> None:
    """Check the fields of a part that code has made, which nothing else has looked at.

    Args:
        part: A dataclass object whose fields :func:`identity_field` or :func:`execution_field` declared.

    Raises:
        SpecError: If a value is of another type than its field, or out of its range.
    """
    declared: type = type(part)
    kinds = field_types(declared)
    for field in dataclasses.fields(part):
        value, kind = getattr(part, field.name), kinds[field.name]
        # A text would be read as the number that it stands for, and stay a text.
        check = check_given if isinstance(value, str) else check_value
        check(value, kind, flat_name(field), field.metadata)
