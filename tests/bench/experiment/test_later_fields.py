"""Identity fields of later versions: a run of before keeps its id and its row. The first one is `drop_last`."""

import dataclasses

import pytest
from board_runs import write_run
from five_steps import spec_of
from pinned_specs import RECIPE_IDS, recipe_spec

import bench.experiment.recipes
import bench.experiment.spec
from bench.core.errors import SpecError
from bench.core.fields import flat_fields
from bench.core.options import option
from bench.experiment.judgement import judge
from bench.experiment.paper_rows import table_of_board
from bench.experiment.recipes import Request, recipe_fields
from bench.experiment.registries import registries
from bench.experiment.spec import RunSpec, with_defaults, without_defaults
from bench.search.request import build_request
from bench.search.space import Dimension
from leaderboard.store.store import Store


def small_spec(model="ast", method="ce", **fields):
    case = {"model": model, "model_options": {}, "method": method, "method_options": {}}
    return spec_of({**case, "fields": fields})


def test_a_later_field_with_its_default_moves_no_id():
    # Made before there was a `drop_last`.
    assert small_spec().run_id == "2ff8c7325931b440"
    assert "drop_last" not in small_spec().identity()
    assert small_spec(drop_last=False).run_id != small_spec().run_id
    assert small_spec(drop_last=False).identity()["drop_last"] is False


@pytest.mark.parametrize("drop_last", [True, False])
def test_a_spec_with_a_later_field_is_read_again(drop_last):
    spec = small_spec(drop_last=drop_last)
    assert RunSpec.from_json(spec.to_json()) == spec


def test_every_later_field_has_a_default_that_it_is_left_out_with():
    later = {name: field for name, (_, field) in flat_fields(RunSpec).items() if "since" in field.metadata}
    assert [name for name, field in later.items() if field.metadata["since"] == 2] == ["drop_last"]
    for name, field in later.items():
        assert without_defaults({name: field.default, "model": "ast"}) == {"model": "ast"}


@pytest.mark.parametrize(
    ("model", "method", "authors"),
    [
        ("cnn6", "ce", True),
        ("cnn10", "scl", True),
        ("cnn14", "scl-hybrid", True),
        ("ast", "scl", True),
        ("ast", "patchmix-cl", False),
        ("resnet18", "ce", False),
        ("efficientnet-b0", "ce", False),
    ],
)
def test_the_paper_profile_keeps_the_last_batch_where_the_authors_do(model, method, authors, tmp_path):
    fields = recipe_fields(Request(model=model, method=method, cache=tmp_path), "paper")
    assert fields.get("drop_last") == (False if authors else None)
    assert "drop_last" not in recipe_fields(Request(model=model, method=method, cache=tmp_path), "demo")


@pytest.mark.parametrize("method", ["ce", "scl", "scl-hybrid"])
def test_the_paper_profile_normalises_scl_over_the_batch(method, tmp_path):
    asked = {"model": "cnn6", "method": method, "cache": tmp_path}
    assert recipe_fields(Request(**asked), "paper")["frontend_options"]["normalise"] == "batch"
    assert recipe_fields(Request(**asked), "demo")["frontend_options"]["normalise"] == "cycle"
    # A recipe's value that another front-end does not know is not asked of it.
    assert recipe_fields(Request(**asked, frontend="ast"), "paper")["frontend_options"]["normalise"] == "2std"


def run_data(rows):
    from five_steps import run_data as pretend

    data = pretend()
    return dataclasses.replace(data, train=data.train[:rows])


@pytest.mark.parametrize(
    ("rows", "fields", "message"),
    [
        (5, {}, "batch is 6, but the training part holds 5 cycles"),
        (13, {"drop_last": False, "processes": 2}, r"last batch of an epoch has 1 clip for 2 processes"),
        (14, {"drop_last": False, "processes": 3}, r"last batch of an epoch has 2 clips for 3 processes"),
    ],
)
def test_epochs_that_cannot_be_run_are_refused(rows, fields, message):
    from bench.engine.data import _check_parts

    with pytest.raises(SpecError, match=message):
        _check_parts(run_data(rows), small_spec(**fields))


def test_an_epoch_may_be_one_smaller_batch_where_the_last_one_counts():
    from bench.engine.data import _check_parts

    spec = small_spec(drop_last=False)
    assert spec.sampling.steps_of_epoch(5) == 1
    _check_parts(run_data(5), spec)


def test_steps_and_rows_of_an_epoch():
    kept, left_out = small_spec(batch=128, drop_last=False).sampling, small_spec(batch=128).sampling
    assert (left_out.steps_of_epoch(4142), left_out.rows_of_epoch(4142)) == (32, 4096)
    assert (kept.steps_of_epoch(4142), kept.rows_of_epoch(4142)) == (33, 4142)
    assert (kept.steps_of_epoch(256), kept.rows_of_epoch(256)) == (2, 256)


# A field that is added on the fly


@dataclasses.dataclass(frozen=True, kw_only=True)
class LaterSpec(RunSpec):
    """The spec as a next version would declare it."""

    clip_gradients: float = dataclasses.field(
        default=0.0, metadata={"role": "identity", "doc": "largest norm", "since": 3, "low": 0.0, "high": 9.0}
    )


def add_field(monkeypatch):
    for module in (bench.experiment.spec, bench.experiment.recipes, bench.experiment.judgement):
        monkeypatch.setattr(module, "RunSpec", LaterSpec)


def add_option(monkeypatch, owner, name):
    """Give the options of a model, a method or a front-end one more."""
    registry = registries()[owner]
    entry = registry.get(name)
    later = dataclasses.make_dataclass(
        "Later",
        [("novelty", float, option(0.5, "what is new", low=0.0, high=1.0, since=2))],
        bases=(entry.card.options,),
        frozen=True,
        kw_only=True,
    )
    card = dataclasses.replace(entry.card, options=later)
    monkeypatch.setitem(registry._entries, name, dataclasses.replace(entry, card=card))


def made(rows, **changes):
    """Specs as the code now makes them, of the class that it has now."""
    specs = [recipe_spec(*row[:3]) for row in rows]
    return [bench.experiment.spec.RunSpec.of(**{**one.flat(), **changes}) for one in specs]


def systems_of(home):
    store = Store.open(home)
    for folder in sorted((home / "runs").iterdir()):
        store.import_run(folder)
    return {run.run_id: run.system for run in store.runs()}


def write_all(home, specs):
    for spec in specs:
        write_run(home, **spec.identity())


ADDED = {
    "field": (None, "ast", {"clip_gradients": 1.0}),
    "model": ("model", "ast", {"model_options": {"novelty": 0.75}}),
    "method": ("method", "patchmix-cl", {"method_options": {"novelty": 0.75}}),
    "front-end": ("frontend", "ast", {"frontend_options": {"novelty": 0.75}}),
}


def add(monkeypatch, what):
    owner, name, changes = ADDED[what]
    if owner is None:
        add_field(monkeypatch)
    else:
        add_option(monkeypatch, owner, name)
    return changes


@pytest.mark.parametrize("what", ADDED)
def test_what_is_added_orphans_no_run(what, monkeypatch):
    known = {row[3] for row in RECIPE_IDS}
    add(monkeypatch, what)
    specs = made(RECIPE_IDS)
    assert {spec.run_id for spec in specs} == known
    assert all("novelty" not in str(spec.identity()) for spec in specs)
    assert all(bench.experiment.spec.RunSpec.from_json(spec.to_json()).run_id == spec.run_id for spec in specs)


@pytest.mark.parametrize("what", ADDED)
def test_what_is_added_moves_no_system_of_a_board(what, tmp_path, monkeypatch):
    rows = [row for row in RECIPE_IDS if row[:2] in {("ast", "patchmix-cl"), ("ast", "ce"), ("cnn6", "scl")}]
    write_all(tmp_path, made(rows))
    before = systems_of(tmp_path)
    assert len(set(before.values())) == len(rows) >= 4
    changes = add(monkeypatch, what)
    write_all(tmp_path, made(rows, seed=2))
    after = systems_of(tmp_path)
    assert {run_id: after[run_id] for run_id in before} == before
    assert len(after) == 2 * len(rows)
    assert set(after.values()) == set(before.values())
    # With another value it is another run, of another system.
    spec = recipe_spec("ast", "patchmix-cl", "paper")
    whole = {
        name: {**getattr(spec, name), **value} if isinstance(value, dict) else value for name, value in changes.items()
    }
    other = made([("ast", "patchmix-cl", "paper", "")], **whole)[0]
    write_all(tmp_path, [other])
    assert other.run_id not in after
    assert systems_of(tmp_path)[other.run_id] not in set(after.values())


@pytest.mark.parametrize("what", ADDED)
def test_a_spec_of_before_reads_as_the_default_and_one_of_later_is_refused(what, monkeypatch):
    known = recipe_spec("ast", "patchmix-cl", "paper")
    changes = add(monkeypatch, what)
    whole = with_defaults(bench.experiment.spec.RunSpec.from_json(known.to_json()).identity())
    name, value = next(iter(changes.items()))
    assert whole[name]["novelty"] == 0.5 if isinstance(value, dict) else whole[name] == 0.0
    newer = {**known.identity(), name: {**getattr(known, name), **value} if isinstance(value, dict) else value}
    judge(newer)
    monkeypatch.undo()
    with pytest.raises(SpecError, match=r"Unknown (field|option) '(clip_gradients|novelty)'") as caught:
        judge(newer)
    assert "update this one" in caught.value.hint


def test_a_default_that_is_written_out_is_refused_on_a_board(monkeypatch):
    spec = recipe_spec("ast", "patchmix-cl", "paper")
    judge(spec.identity())
    with pytest.raises(SpecError, match="drop_last is True: that is its default"):
        judge({**spec.identity(), "drop_last": True})
    add(monkeypatch, "method")
    judge(spec.identity())
    with pytest.raises(SpecError, match=r"novelty is 0.5: that is its default"):
        judge({**spec.identity(), "method_options": {**spec.method_options, "novelty": 0.5}})


def test_defaults_are_written_out_and_left_out_again():
    spec = recipe_spec("ast", "patchmix-cl", "paper").identity()
    written_out = with_defaults(spec)
    assert {name: written_out[name] for name in spec} == spec
    assert (written_out["drop_last"], written_out["vote"], written_out["init_from"]) == (True, "mean", None)
    assert without_defaults(with_defaults(spec)) == spec


@pytest.mark.parametrize("since", [0, 1, "2", 2.0, True])
def test_a_version_that_is_none_is_refused(since):
    with pytest.raises(ValueError, match="must be a whole number of 2 or more"):
        option(1.0, "what is new", since=since)


@pytest.mark.parametrize(("drop_last", "differs"), [(None, False), (False, True)])
def test_a_row_of_the_paper_tells_a_later_field_that_its_recipe_leaves_alone(drop_last, differs, tmp_path):
    changes = {} if drop_last is None else {"drop_last": drop_last}
    write_run(tmp_path, **recipe_spec("ast", "patchmix-cl", "paper", **changes).identity())
    systems_of(tmp_path)
    rows = [row for row in table_of_board("table3", Store.open(tmp_path), "last").rows if row["reproduced"]]
    assert rows
    assert all(("drop_last" in row["differs"]) == differs for row in rows)


@pytest.mark.parametrize("what", ADDED)
def test_a_study_of_before_is_still_the_one_that_is_asked_for(what, monkeypatch):
    rows = [("ast", "patchmix-cl", "paper")]
    space = [Dimension(name="lr", field="lr", low=1e-6, high=1e-3, log=True)]
    asked = {"objective": "held-out", "folds": 1, "seeds": [1], "sampler": "tpe", "pruner": None, "sampler_seed": 1}
    known = build_request(made(rows)[0], space, **asked)
    changes = add(monkeypatch, what)
    assert known.differences(build_request(made(rows)[0], space, **asked)) == []
    name, value = next(iter(changes.items()))
    whole = {**getattr(recipe_spec(*rows[0]), name), **value} if isinstance(value, dict) else value
    (difference,) = known.differences(build_request(made(rows, **{name: whole})[0], space, **asked))
    assert "asked for" in difference
