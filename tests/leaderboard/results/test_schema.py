"""The declaration of a result against what follows from it, and against the database's own."""

from __future__ import annotations

import ast
import inspect
import json
import types
from typing import Union, get_args, get_origin, get_type_hints

import pytest
import sqlalchemy as sa
from board_runs import document, spec, write_run

from leaderboard import metrics
from leaderboard.metrics import Metrics
from leaderboard.results import schema
from leaderboard.results.run_folder import RunFolder
from leaderboard.results.schema import (
    EpochRow,
    ResultDocument,
    RuleMetrics,
    SpecFields,
    Study,
    Submission,
    longest_texts,
    marks_of,
    names_stored_as,
    printed,
)
from leaderboard.store import schema as database

FORMS = (ResultDocument, SpecFields, EpochRow, RuleMetrics, Study, Submission, Metrics)

DERIVED = {
    *("kind", "digest", "system", "task", "judged_set", "extra"),
    *("code_version", "code_commit", "code_dirty", "processes", "device", "cpu", "gpu"),
}
"""Columns of the runs that are computed, or taken out of the provenance."""

TYPES = {str: sa.String, int: (sa.Integer, sa.BigInteger), float: sa.Double, dict: sa.JSON, list: sa.JSON}


def described(form):
    """By field, the docstring that follows its declaration."""
    module = metrics if form is Metrics else schema
    tree = ast.parse(inspect.getsource(module))
    (found,) = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == form.__name__]
    said, name = {}, None
    for node in found.body:
        if isinstance(node, ast.AnnAssign):
            name = node.target.id
            said[name] = ""
        elif name and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            said[name] = node.value.value
    return said


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
def test_every_field_has_a_sentence(form):
    said = described(form) | (described(Metrics) if form is RuleMetrics else {})
    # Two names are words of Python, which no class body can declare: they are described together.
    assert set(said) == set(form.__annotations__) - {"as", "hs"}
    assert [name for name, text in said.items() if not (len(text.split()) >= 2 and text.endswith("."))] == []


def value_of(hint):
    """The plain type of a field, and whether it may be null."""
    while hasattr(hint, "__metadata__") or get_origin(hint) is schema.NotRequired:
        hint = get_args(hint)[0]
    options = get_args(hint) if get_origin(hint) in (types.UnionType, Union) else (hint,)
    (kept,) = [option for option in options if option is not type(None)]
    while hasattr(kept, "__metadata__"):
        kept = get_args(kept)[0]
    plain = type(get_args(kept)[0]) if get_origin(kept) is schema.Literal else get_origin(kept) or kept
    return plain, type(None) in options


def differences(form, names, table):
    """What the columns of a table declare otherwise than the fields of a form."""
    hints, columns = get_type_hints(form, include_extras=True), table.__table__.c
    for name in names:
        plain, nullable = value_of(hints[name])
        if not isinstance(columns[name].type, TYPES[plain]):
            yield f"{name}: {columns[name].type} instead of {plain.__name__}"
        if columns[name].nullable != nullable:
            yield f"{name}: nullable is {columns[name].nullable}"
        if longest_texts(form).get(name, columns[name].type.length if plain is str else None) != getattr(
            columns[name].type, "length", None
        ):
            yield f"{name}: of {columns[name].type.length} characters"


def test_the_columns_of_the_runs_are_the_declared_ones():
    of_document = (*names_stored_as("value"), *names_stored_as("object"))
    of_spec = names_stored_as("value", SpecFields)
    assert list(differences(ResultDocument, of_document, database.Run)) == []
    assert list(differences(SpecFields, of_spec, database.Run)) == []
    assert {column.name for column in database.Run.__table__.c} == {*of_document, *of_spec, *DERIVED}


@pytest.mark.parametrize(
    ("form", "table", "keys"),
    [
        (RuleMetrics, database.MetricRow, {"run_id", "rule", "judged", *database.MEAN_COLUMNS.values()}),
        (RuleMetrics, database.PartMetricRow, {"run_id", "part", "rule", "judged", *database.MEAN_COLUMNS.values()}),
        (EpochRow, database.EpochRow, {"run_id"}),
    ],
)
def test_metrics_and_epochs_have_the_declared_columns(form, table, keys):
    # The losses that a method names are kept with the fields of the run that have no column.
    names = set(marks_of(form)) - {"losses", "as", "hs"}
    assert list(differences(form, names, table)) == []
    assert {column.name for column in table.__table__.c} == {*names, *keys}


def test_each_table_of_a_document_is_one_of_the_database():
    relations = set(sa.inspect(database.Run).relationships.keys())
    assert set(names_stored_as("rows")) == relations


def test_the_printed_document_is_the_one_that_scripts_rely_on(tmp_path):
    folder = write_run(tmp_path)
    content = json.loads((folder / "result.json").read_text())
    shown = printed(content, folder)
    kept = ["run_id", "status", "error", "spec", "profile", "partial", "metrics", "epochs"]
    assert list(shown) == [
        *kept,
        "predictions",
        "predictions_by_rule",
        "seconds",
        "cycles_per_second",
        "folder",
    ]
    assert {name: shown[name] for name in kept} == {name: content[name] for name in kept}
    assert shown["predictions"] == str(folder / "predictions-last.csv")
    assert set(shown["predictions_by_rule"]) == {"last", "best-test"}


def test_a_failed_run_prints_no_predictions(tmp_path):
    shown = printed(document(spec(), failed="nan"), tmp_path)
    assert (shown["predictions"], shown["predictions_by_rule"]) == (None, {})


def test_a_board_gives_back_every_declared_field(tmp_path):
    from leaderboard.store.store import Store

    folder = RunFolder(write_run(tmp_path))
    store = Store.open(tmp_path)
    store.import_run(folder.path)
    assert store.run(folder.path.name) == folder.read_document()
