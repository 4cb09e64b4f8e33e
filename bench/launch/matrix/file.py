"""The TOML file of a matrix: what it may hold, and what is wrong with one that holds something else.

::

    name = "cnns"
    seeds = "1-5"
    profile = "paper"

    [[runs]]
    models = ["cnn*"]
    methods = ["ce", "mixup"]
    settings = [{ lr = 1e-3 }, { lr = 1e-4, "frontend.seconds" = 4 }]

    [[runs]]
    systems = ["patchmix-cl"]
    datasets = ["icbhi", "sprsound"]
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, StrictBool, StrictInt, StrictStr, ValidationError
from pydantic_core import ErrorDetails

from bench.core import paper
from bench.core.errors import SpecError
from bench.core.registry import suggestion
from bench.core.text import echoed
from bench.experiment.seeds import parse_seeds
from bench.experiment.toml_files import flat_settings, read_toml

HINT = "docs/matrices.md shows such a file."
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
RESERVED = (*paper.TABLES, paper.FIGURE)
"""Names of what `bench reproduce` runs."""


class _Shared(BaseModel):
    """What a file may say for all of its runs, and each table of runs for its own."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    seeds: StrictStr | StrictInt | list[StrictInt] | None = None
    data: StrictStr | dict[StrictStr, StrictStr] | None = None
    profile: StrictStr | None = None
    pretrain: StrictStr | None = None
    epochs: StrictInt | None = None
    allow_partial: StrictBool | None = None


class RunsTable(_Shared):
    """One ``[[runs]]``: systems, or models and methods; and what each of them is run with."""

    systems: list[StrictStr] | None = None
    models: list[StrictStr] | None = None
    methods: list[StrictStr] | None = None
    frontends: list[StrictStr] | None = None
    settings: list[dict[StrictStr, Any]] | None = None
    datasets: list[StrictStr] | None = None
    tasks: list[StrictStr] | None = None

    def shared(self, name: str, default: Any) -> Any:
        """A value of this table, or else that of the whole file."""
        own = getattr(self, name)
        return default if own is None else own


class MatrixFile(_Shared):
    """A whole file; its name is the stem of the file's where it says none."""

    name: StrictStr = ""
    plugins: list[StrictStr] = []
    runs: list[RunsTable]


def read_matrix(path: Path) -> MatrixFile:
    """Read the file of a matrix; what its runs are is not looked up.

    Args:
        path: The TOML file.

    Raises:
        SpecError: If it cannot be read, is no TOML, or holds what no matrix has; key and place are named.
    """
    document = read_toml(path, "a matrix's file", HINT)
    try:
        found = MatrixFile.model_validate(document)
    except ValidationError as error:
        raise _fault(error.errors()[0], str(path)) from None
    found = found.model_copy(update={"name": found.name or path.stem})
    _check_name(found.name, path)
    if not found.runs:
        raise SpecError(f"{path} has no [[runs]].", HINT)
    for number, table in enumerate(found.runs, start=1):
        _check_table(table, f"{path}: runs {number}")
    return found


def settings_of(table: RunsTable, place: str) -> list[dict[str, Any]]:
    """The settings of each cell, with dotted names; one cell without any where there are none.

    Args:
        table: The table.
        place: Where it stands, for messages.
    """
    if table.settings is None:
        return [{}]
    return [flat_settings(one, f"{place}, settings {n}", HINT) for n, one in enumerate(table.settings, start=1)]


def seeds_of(value: str | int | Sequence[int], place: str) -> list[int]:
    """The seeds that a file names: ``"1-5"``, ``3`` or ``[1, 3, 7]``.

    Raises:
        SpecError: If they are none; the place is named.
    """
    text = value if isinstance(value, str) else ",".join(map(str, [value] if isinstance(value, int) else value))
    return parse_seeds(None, text, f"{place}: seeds")


def _check_name(name: str, path: Path) -> None:
    if not NAME.fullmatch(name):
        raise SpecError(
            f"{path}: the matrix's name '{echoed(name)}' must be up to 80 letters, digits and any of . _ -",
            'Give it one: name = "…"',
        )
    if name in RESERVED:
        raise SpecError(f"{path}: '{name}' is what `bench reproduce {name}` runs.", 'Give it another: name = "…"')


def _check_table(table: RunsTable, place: str) -> None:
    alone = table.systems is not None
    pair = table.models is not None or table.methods is not None
    if alone == pair:
        raise SpecError(f"{place} needs either systems, or models and methods.", HINT)
    if pair and (table.models is None or table.methods is None):
        missing = "methods" if table.methods is None else "models"
        raise SpecError(f"{place} lacks {missing}.", HINT)
    for name in ("systems", "models", "methods", "frontends", "settings", "datasets", "tasks"):
        if getattr(table, name) == []:
            raise SpecError(f"{place}: {name} is empty.", f"Leave {name} out, or name one.")


_EXPECTED: Mapping[str, str] = {
    "string_type": "a text",
    "int_type": "a whole number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a table",
    "model_type": "a table",
    "model_attributes_type": "a table",
}


def _fault(fault: ErrorDetails, path: str) -> SpecError:
    """The first fault that pydantic found, in the words of this program."""
    # Within a union pydantic names the kinds that it tried: they are no part of the place.
    words = [part for part in fault["loc"] if isinstance(part, int) or part.isidentifier()]
    inside = len(words) > 1 and words[0] == "runs" and isinstance(words[1], int)
    place = f"{path}: runs {int(words[1]) + 1}" if inside else path
    key = echoed(str(words[2 if inside else 0])) if len(words) > (2 if inside else 0) else "runs"
    if fault["type"] == "extra_forbidden":
        known = list((RunsTable if inside else MatrixFile).model_fields)
        return SpecError(f"{place}: unknown key '{key}': {suggestion(key, known)}", HINT)
    if fault["type"] == "missing":
        return SpecError(f"{place} lacks '{key}'.", HINT)
    expected = (
        "seeds like 1-5 or a list of numbers" if key == "seeds" else _EXPECTED.get(fault["type"], "another value")
    )
    return SpecError(f"{place}: {key} is {echoed(repr(fault['input']))}, but must be {expected}.", HINT)
