"""What a study searches: declared spaces, overrides, and what becomes of a trial's parameters."""

import dataclasses
import itertools
import json

import optuna
import pytest
from small_studies import base_spec, cards

import baselines
import methods
from bench.core.errors import SpecError
from bench.core.options import Space
from bench.experiment.spec import settable_fields
from bench.search.space import MOST_VALUES, Dimension, apply_params, build_space, grid_point, grid_size


def space(*params, over=(), grid=False, **which):
    return build_space(params, over, cards(**which), grid=grid)


def test_alpha_tau_and_beta_are_declared_with_the_papers_choices_in_their_grids():
    alpha, tau, beta = space("alpha", "tau", "beta")
    assert [dimension.field for dimension in (alpha, tau, beta)] == ["method.alpha", "method.tau", "method.beta"]
    assert all(dimension.low < 1.0 < dimension.high and dimension.log for dimension in (alpha, beta))
    assert tau.low < 0.06 < tau.high
    for dimension, chosen in zip(space("alpha", "tau", "beta", grid=True), (1.0, 0.06, 1.0), strict=True):
        assert chosen in dimension.values


def every_declared_space():
    for owner in (*baselines.MODELS, *methods.METHODS):
        for field in dataclasses.fields(owner.card.options):
            yield f"{owner.card.id}.{field.name}", field
    for name, field in settable_fields().items():
        yield name, field


@pytest.mark.parametrize(("name", "field"), [item for item in every_declared_space() if item[1].metadata.get("space")])
def test_declared_spaces_lie_within_the_limits_of_their_option(name, field):
    declared: Space = field.metadata["space"]
    ends = [value for value in (declared.low, declared.high) if value is not None]
    assert ends or declared.grid, name
    for value in (*ends, *declared.grid):
        assert field.metadata["low"] is None or value >= field.metadata["low"], name
        assert field.metadata.get("high") is None or value <= field.metadata["high"], name
    assert not ends or declared.low < declared.high
    assert not declared.log or declared.low > 0


@pytest.mark.parametrize(
    ("param", "override", "expected"),
    [
        ("lr", "lr=1e-5..1e-2:log", {"field": "lr", "low": 1e-5, "high": 1e-2, "log": True, "whole": False}),
        ("lr", "lr= .5e-3 .. 1.e-2 :log", {"field": "lr", "low": 5e-4, "high": 1e-2, "log": True, "whole": False}),
        ("epochs", "epochs=2..1e1", {"field": "epochs", "low": 2, "high": 10, "log": False, "whole": True}),
        ("epochs", "epochs=2..9", {"field": "epochs", "low": 2, "high": 9, "log": False, "whole": True}),
        ("batch", "batch=8, 16", {"field": "batch", "values": [8, 16]}),
        ("tau", "tau=0.1,0.1,0.2", {"field": "method.tau", "values": [0.1, 0.2]}),
        ("weighted", None, {"field": "method.weighted", "values": [True, False]}),
        ("target", None, {"field": "method.target", "values": ["stop-z", "stop-hz", "z", "hz"]}),
        ("schedule", "schedule=cosine,constant", {"field": "schedule", "values": ["cosine", "constant"]}),
        ("weight_decay", None, {"field": "weight_decay", "low": 1e-7, "high": 1e-2, "log": True, "whole": False}),
        ("model.depth", "model.depth=1..4", {"field": "model.depth", "low": 1, "high": 4, "log": False, "whole": True}),
    ],
)
def test_spaces(param, override, expected):
    method = "ce" if param == "weighted" else "patchmix-cl"
    (found,) = space(param, over=[override] if override else [], method=method)
    assert found.to_json() == expected
    assert Dimension.from_json(param, found.to_json()) == found


def test_overrides_alone_say_what_is_searched():
    assert [dimension.name for dimension in space(over=["lr=1e-5..1e-3", "batch=8,16"])] == ["lr", "batch"]


@pytest.mark.parametrize(
    ("params", "over", "grid", "said"),
    [
        ([], [], False, "Nothing to search"),
        (["alhpa"], [], False, "did you mean 'alpha'"),
        ([""], [], False, "empty parameter"),
        (["alpha", "method.alpha"], [], False, "method.alpha twice"),
        (["alpha"], ["tau=0.1..1"], False, "which is not searched"),
        (["alpha"], ["alpha"], False, "takes key=low..high"),
        (["alpha"], ["alpha="], False, "takes key=low..high"),
        (["alpha"], ["alpha=1..2", "alpha=1..3"], False, "'alpha' twice"),
        (["alpha"], ["alpha=1,,2"], False, "holds an empty value"),
        (["alpha"], ["alpha=1,two"], False, "must be a number"),
        (["alpha"], ["alpha=2..1"], False, "is reversed"),
        (["alpha"], ["alpha=1..1"], False, "is empty"),
        (["alpha"], ["alpha=-1..1"], False, "must be at least 0"),
        (["alpha"], ["alpha=0..1:log"], False, "must begin above 0"),
        (["alpha"], ["alpha=1..2:lin"], False, "can only be log"),
        (["alpha"], ["alpha=1..2:log:log"], False, "can only be log"),
        (["alpha"], ["alpha=1..2:"], False, "can only be log"),
        (["lr"], ["lr=1e-5...1e-3"], False, "is no range"),
        (["lr"], ["lr=1e-5....1e-3"], False, "is no range"),
        (["lr"], ["lr=1e-5..1e-4..1e-3"], False, "is no range"),
        (["lr"], ["lr=..1e-3"], False, "is no range"),
        (["lr"], ["lr=1e-5.."], False, "is no range"),
        (["lr"], ["lr=.."], False, "is no range"),
        (["lr"], ["lr=1e-5.. .1e-3,2"], False, "must be a number"),
        (["lr"], ["lr=1e-5.1e-3"], False, "must be a number"),
        (["lr"], ["lr=1_0e-5..1e-3"], False, "must be a number"),
        (["lr"], ["lr=1e-5..١"], False, "must be a number"),
        (["lr"], ["lr=1e-5..inf"], False, "must be a number"),
        (["lr"], ["lr=1e-5,Infinity"], False, "must be a number"),
        (["lr"], ["lr=0x1,0x2"], False, "must be a number"),
        (["lr"], ["lr=1e-5..1e999"], False, "must be a number"),
        (["lr"], ["lr=0..1e-3"], False, "must be at least"),
        (["batch"], ["batch=1_6,3_2"], False, "must be a number"),
        (["batch"], ["batch=8,٣٢"], False, "must be a number"),
        (["batch"], ["batch=8,1e20"], False, "64 bits"),
        (["batch"], ["batch=8,99999999999999999999"], False, "64 bits"),
        (["batch"], ["batch=0..8"], False, "must be at least 1"),
        (["alpha"], ["alpha=1,1.0,1e0"], False, "names one value 3 times"),
        (["target"], ["target=z,z"], False, "names one value 2 times"),
        (["alpha"], ["alpha=" + ",".join(map(str, range(1, 1002)))], False, "1000 at most"),
        (["alpha"], ["alpha=1,\x1b[2J" + "x" * 1000], False, "…"),
        (["alpha"], ["alpha=nan..2"], False, "finite"),
        (["batch"], ["batch=1.5..8"], False, "whole number"),
        (["target"], ["target=z..hz"], False, "is no number"),
        (["target"], ["target=z,zz"], False, "must be one of"),
        (["milestones"], [], False, "declares no search space"),
        (["model.depth"], [], False, "declares no search space"),
        (["alpha"], ["alpha=1..2"], True, "is no grid"),
        (["seed"], ["seed=1,2"], False, "cannot be searched"),
        (["eval_batch"], ["eval_batch=1,2"], False, "cannot be searched"),
        (["frontend.seconds"], ["frontend.seconds=4,8"], False, "belongs to the front-end"),
        (["split"], ["split=official"], False, "Unknown setting 'split'"),
    ],
)
def test_what_cannot_be_searched_is_refused(params, over, grid, said):
    with pytest.raises(SpecError) as caught:
        space(*params, over=over, grid=grid)
    assert said in caught.value.message
    assert caught.value.message.isprintable()


def test_a_grid_has_every_point_once():
    dimensions = space("alpha", "negatives", over=["alpha=1,2,3"], grid=True)
    points = [grid_point(dimensions, number) for number in range(grid_size(dimensions))]
    assert len(points) == 6 == len({tuple(point.items()) for point in points})
    assert points[:2] == [{"alpha": 1.0, "negatives": "all"}, {"alpha": 1.0, "negatives": "different-label"}]


def test_parameters_change_their_fields_of_the_spec_and_nothing_else(small_data, small_cache):
    base = base_spec(small_data, small_cache)
    dimensions = space("alpha", "lr", "model.depth", over=["model.depth=1,2"])
    changed = apply_params(base, {"alpha": 3.0, "lr": 1e-4, "model.depth": 2}, dimensions, cards())
    assert changed.method_options == {**base.method_options, "alpha": 3.0}
    assert changed.model_options == {**base.model_options, "depth": 2}
    kept = {"method_options": base.method_options, "model_options": base.model_options, "lr": base.optim.lr}
    assert changed.changed(**kept) == base
    assert apply_params(base, {"alpha": base.method_options["alpha"]}, space("alpha"), cards()).run_id == base.run_id


def test_fewer_epochs_shorten_the_warm_up(small_data, small_cache):
    base = base_spec(small_data, small_cache).changed(epochs=50, warmup_epochs=10)
    assert apply_params(base, {"epochs": 5}, space("epochs"), cards()).schedule.warmup_epochs == 4
    both = space("epochs", "warmup_epochs")
    with pytest.raises(SpecError, match="warmup_epochs is 7"):
        apply_params(base, {"epochs": 5, "warmup_epochs": 7}, both, cards())


def test_a_batch_that_does_not_divide_among_the_processes_is_refused(small_data, small_cache):
    base = base_spec(small_data, small_cache).changed(processes=2)
    with pytest.raises(SpecError, match="does not divide among 2 processes"):
        apply_params(base, {"batch": 9}, space("batch", over=["batch=8,9"]), cards())


# --- grids ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sizes", [(1,), (5,), (2, 3), (3, 2), (1, 4, 1), (2, 3, 4), (7, 1, 2, 2)])
def test_the_points_of_a_grid_are_the_product_of_its_lists_the_last_fastest(sizes):
    dimensions = [
        Dimension(name=f"p{place}", field=f"method.p{place}", values=tuple(range(size)))
        for place, size in enumerate(sizes)
    ]
    product = [
        dict(zip((d.name for d in dimensions), point, strict=True)) for point in itertools.product(*map(range, sizes))
    ]
    assert grid_size(dimensions) == len(product)
    assert [grid_point(dimensions, number) for number in range(len(product))] == product


def test_the_values_of_a_grid_are_of_the_parameters_type():
    (dimension,) = space("alpha", over=["alpha=0.5,1,1.5"], grid=True)
    assert [type(grid_point((dimension,), number)["alpha"]) for number in range(3)] == [float] * 3
    (batch,) = space("batch", over=["batch=8,1e1"], grid=True)
    assert [grid_point((batch,), number)["batch"] for number in range(2)] == [8, 10]
    assert type(batch.values[1]) is int


# --- dimensions -------------------------------------------------------------------------------------------------

DIMENSIONS = {
    "a range": (Dimension(name="x", field="lr", low=1e-5, high=0.25), "1e-05..0.25"),
    "a logarithmic range": (Dimension(name="x", field="lr", low=0.001, high=1.0, log=True), "0.001..1:log"),
    "whole numbers": (Dimension(name="x", field="epochs", low=1, high=64, log=True, whole=True), "1..64:log"),
    "numbers": (Dimension(name="x", field="batch", values=(8, 16)), "8, 16"),
    "words": (Dimension(name="x", field="method.target", values=("stop-z", "z")), "stop-z, z"),
    "truths": (Dimension(name="x", field="method.weighted", values=(True, False)), "True, False"),
}


@pytest.mark.parametrize(("dimension", "words"), DIMENSIONS.values(), ids=DIMENSIONS)
def test_a_dimension_is_written_for_people_and_for_the_storage(dimension, words):
    assert str(dimension) == words
    document = json.loads(json.dumps(dimension.to_json()))
    again = Dimension.from_json("x", document)
    assert again == dimension
    assert [type(value) for value in again.values] == [type(value) for value in dimension.values]


@pytest.mark.parametrize(("dimension", "words"), DIMENSIONS.values(), ids=DIMENSIONS)
def test_a_dimension_gives_values_of_its_own_alone(dimension, words):
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(0))
    values = [dimension.suggest(study.ask()) for _ in range(20)]
    assert len(set(values)) > 1
    for value in values:
        if dimension.values:
            assert value in dimension.values
            assert type(value) is type(dimension.values[0])
        else:
            assert dimension.low <= value <= dimension.high
            assert type(value) is (int if dimension.whole else float)


@pytest.mark.parametrize(("dimension", "words"), DIMENSIONS.values(), ids=DIMENSIONS)
def test_a_value_that_is_set_is_the_value_that_is_given(dimension, words):
    value = dimension.values[-1] if dimension.values else dimension.high
    given = dimension.suggest(optuna.trial.FixedTrial({"x": value}))
    assert given == value


# --- lists and limits -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [1, 2, MOST_VALUES])
def test_a_list_has_as_many_values_as_a_study_can_keep(number):
    (found,) = space("alpha", over=["alpha=" + ",".join(map(str, range(1, number + 1)))])
    assert found.values == tuple(map(float, range(1, number + 1)))


@pytest.mark.parametrize("text", ["alpha=1,2", " alpha = 1 , 2 ", "alpha=1,2,1,2,2", "alpha=1e0,+2"])
def test_one_list_may_be_written_in_many_ways(text):
    (found,) = space("alpha", over=[text])
    assert found.values == (1.0, 2.0)


def test_the_order_of_a_list_is_that_of_the_user():
    (found,) = space("tau", over=["tau=0.3,0.1,0.2"])
    assert found.values == (0.3, 0.1, 0.2)


def test_overrides_may_stand_in_any_order_and_the_parameters_say_which():
    over = ["tau=0.1..0.2", "alpha=1,2"]
    found = [space("alpha", "tau", over=texts) for texts in (over, over[::-1])]
    assert found[0] == found[1]
    assert [dimension.name for dimension in found[0]] == ["alpha", "tau"]


def test_a_parameter_that_is_named_twice_alike_is_searched_once():
    assert [dimension.name for dimension in space("alpha", "alpha")] == ["alpha"]


def test_the_full_name_of_a_parameter_means_the_same_field():
    (short,), (full,) = space("alpha"), space("method.alpha")
    assert (short.field, full.field) == ("method.alpha", "method.alpha")
    assert (short.low, short.high, short.log) == (full.low, full.high, full.log)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("alpha=-1..1", "--space alpha is -1.0, but must be at least 0"),
        ("batch=8..0", "--space batch is 0, but must be at least 1"),
        ("alpha=-1e308..1e308", "must be at least 0"),
        ("target=z,y", "--space target is 'y', but must be one of"),
    ],
)
def test_a_value_outside_of_a_parameters_limits_is_named_with_the_limit(override, said):
    with pytest.raises(SpecError) as caught:
        space(override.partition("=")[0], over=[override])
    assert said in caught.value.message


def test_a_message_names_a_space_that_would_do():
    with pytest.raises(SpecError) as caught:
        space()
    assert caught.value.hint.startswith("For example --param alpha,")
    # The example can be typed.
    space(*caught.value.hint.removeprefix("For example --param ").rstrip(".").split(","))
    with pytest.raises(SpecError) as caught:
        space(method="ce")
    space(*caught.value.hint.removeprefix("For example --param ").rstrip(".").split(","), method="ce")


# --- trials -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("epochs", "warmup"), [(11, 10), (10, 9), (2, 1), (1, 0), (50, 10)])
def test_the_warm_up_is_always_shorter_than_the_run(small_data, small_cache, epochs, warmup):
    base = base_spec(small_data, small_cache).changed(epochs=50, warmup_epochs=10)
    assert apply_params(base, {"epochs": epochs}, space("epochs"), cards()).schedule.warmup_epochs == warmup


def test_parameters_that_are_not_searched_are_not_looked_at(small_data, small_cache):
    base = base_spec(small_data, small_cache)
    found = apply_params(base, {"alpha": 2.0, "tau": 99.0}, space("alpha"), cards())
    assert found.method_options["tau"] == base.method_options["tau"]
    with pytest.raises(KeyError):
        apply_params(base, {"tau": 1.0}, space("alpha"), cards())


def test_the_same_parameters_make_the_same_run_in_whatever_order_they_come(small_data, small_cache):
    base = base_spec(small_data, small_cache)
    params = {"alpha": 2.0, "lr": 1e-4, "tau": 0.5}
    ids = {
        apply_params(base, dict(order), space(*(name for name, _ in order)), cards()).run_id
        for order in itertools.permutations(params.items())
    }
    assert len(ids) == 1
    others = [{**params, name: value / 2} for name, value in params.items()]
    changed = {apply_params(base, other, space(*other), cards()).run_id for other in others}
    assert len(changed | ids) == 4
