"""What a storage says of a study: all that a search writes is believed, and nothing else; what is wrong is named."""

import copy
import json
import math

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState, create_trial
from small_studies import base_spec, request_of

from bench.search import claims
from bench.search.objective import _TrialRecord
from bench.search.study import EXECUTION, FINALS, SETTINGS, TARGET
from bench.search.study_validation import (
    OWNER,
    REQUEST,
    TRIAL,
    UnsoundError,
    check_attributes,
    check_study_name,
    check_trial,
    read_request,
)

COMPLETE, RUNNING = TrialState.COMPLETE, TrialState.RUNNING


@pytest.fixture(scope="module")
def written(small_data, small_cache):
    """The request of a study, as its storage gives it back."""
    request = request_of(base_spec(small_data, small_cache), "alpha,target", ("target=z,hz",))
    return json.loads(json.dumps(request.to_json()))


@pytest.fixture
def document(written):
    return copy.deepcopy(written)


def said_of(check, *words):
    with pytest.raises(UnsoundError) as caught:
        check(*words)
    said = str(caught.value)
    assert said.isprintable()
    assert len(said) < 400
    return said


# --- requests ---------------------------------------------------------------------------------------------------


def test_a_request_that_a_search_wrote_is_believed(document):
    assert read_request(document).to_json() == document


@pytest.mark.parametrize("name", sorted(REQUEST))
def test_a_request_without_a_part_is_not_believed(document, name):
    del document[name]
    assert said_of(read_request, document) == f"the request lacks '{name}'"


@pytest.mark.parametrize("name", sorted(REQUEST))
@pytest.mark.parametrize("value", [None, 1.5, math.nan, "\x1b[2J" + "x" * 1000, [[]], [None], {"a": object()}])
def test_a_part_of_a_request_of_another_kind_is_named(document, name, value):
    if name in ("space", "spec") and isinstance(value, dict):
        value = [value]
    document[name] = value
    assert said_of(read_request, document).startswith(f"the request: {name} is '")


@pytest.mark.parametrize("document", [None, [], "x", 1])
def test_what_is_no_mapping_is_no_request(document):
    assert said_of(read_request, document) == f"the request is '{document}'"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("folds", 0),
        ("folds", 101),
        ("folds", True),
        ("seeds", [-1]),
        ("seeds", [True]),
        ("sampler", "grid "),
        ("pruner", "Median"),
        ("objective", ""),
        ("sampler_seed", 1.0),
    ],
)
def test_values_next_to_those_that_are_allowed_are_not_believed(document, name, value):
    document[name] = value
    assert f"the request: {name} is '{value}'" == said_of(read_request, document)


@pytest.mark.parametrize(("name", "value"), [("folds", 1), ("folds", 100), ("seeds", [0]), ("sampler_seed", -1)])
def test_values_at_the_limits_are_believed(document, name, value):
    document[name] = value
    assert read_request(document).to_json()[name] == value


@pytest.mark.parametrize("name", ["params", "seeds"])
def test_a_request_that_searches_nothing_is_not_believed(document, name):
    document[name] = []
    assert said_of(read_request, document) == "the request searches nothing"


RANGE = {"field": "method.alpha", "low": 1.0, "high": 2.0, "log": False, "whole": False}


@pytest.mark.parametrize(
    ("space", "said"),
    [
        (None, "the space of 'alpha' is 'None'"),
        ({"field": "method.alpha"}, "the space of 'alpha' lacks 'low'"),
        ({"low": 1.0, "high": 2.0}, "the space of 'alpha' lacks 'field'"),
        ({**RANGE, "high": math.inf}, "the space of 'alpha': high is 'inf'"),
        ({**RANGE, "low": True}, "the space of 'alpha': low is 'True'"),
        ({**RANGE, "low": 2.0}, "the space of 'alpha' is 2.0 to 2.0"),
        ({**RANGE, "low": 0.0, "log": True}, "the space of 'alpha' is 0.0 to 2.0"),
        ({**RANGE, "log": 1}, "the space of 'alpha': log is '1'"),
        ({**RANGE, "step": 1}, "the space of 'alpha' has 'step'"),
        ({"field": "method.alpha", "values": []}, "the space of 'alpha': values is '[]'"),
        ({"field": "method.alpha", "values": [math.nan]}, "the space of 'alpha': values is '[nan]'"),
        ({"field": "method.alpha", "values": [None]}, "the space of 'alpha': values is '[None]'"),
    ],
)
def test_a_space_that_no_search_writes_is_named(document, space, said):
    document["space"]["alpha"] = space
    assert said_of(read_request, document) == said


@pytest.mark.parametrize("values", [[1], [0.5, "a", True, False], ["é"]])
def test_lists_of_any_scalars_are_believed(document, values):
    document["space"]["alpha"] = {"field": "method.alpha", "values": values}
    assert list(read_request(document).space[0].values) == values


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("epochs", 0, "the spec: epochs is 0"),
        ("epochs", 1.5, "the spec: epochs is '1.5'"),
        ("batch", -1, "the spec: batch is -1"),
        ("model", None, "the spec: model is 'None'"),
        ("partial", 1, "the spec: partial is '1'"),
        ("method_options", [], "the spec: method_options is '[]'"),
        ("data", "/x", "the spec has 'data'"),
        ("\x1b", 1, "the spec has '?'"),
    ],
)
def test_a_spec_that_no_run_could_have_is_named(document, name, value, said):
    document["spec"][name] = value
    assert said_of(read_request, document).startswith(said)


# --- where it runs and how it ends ------------------------------------------------------------------------------


@pytest.fixture
def attributes(small_data, small_cache):
    base = base_spec(small_data, small_cache)
    settings = {"final_seeds": [1, 2], "give_up_after": 5}
    return {EXECUTION: json.loads(json.dumps(base.execution())), SETTINGS: settings, TARGET: 3, FINALS: [0]}


def test_what_a_search_says_of_itself_is_believed(attributes):
    check_attributes(attributes)
    check_attributes({})
    # A later version may say more.
    check_attributes({**attributes, "later": object()})


@pytest.mark.parametrize("name", ["data", "cache", "device", "processes", "plugins", "weights"])
def test_an_execution_has_all_that_a_run_needs(attributes, name):
    del attributes[EXECUTION][name]
    assert said_of(check_attributes, attributes) == f"its execution lacks '{name}'"


@pytest.mark.parametrize(
    ("part", "name", "value", "said"),
    [
        (EXECUTION, "processes", 0, "its execution: processes is '0'"),
        (EXECUTION, "device", "auto", "its execution: device is 'auto'"),
        (EXECUTION, "plugins", "mine.py", "its execution: plugins is 'mine.py'"),
        (EXECUTION, "weights", 1, "its execution: weights is '1'"),
        (SETTINGS, "final_seeds", [-1], "its settings: final_seeds is '[-1]'"),
        (SETTINGS, "give_up_after", True, "its settings: give_up_after is 'True'"),
        (None, TARGET, -1, "the study: trials is '-1'"),
        (None, TARGET, 1.0, "the study: trials is '1.0'"),
        (None, FINALS, [None], "the study: finals is '[None]'"),
    ],
)
def test_what_no_search_says_of_itself_is_named(attributes, part, name, value, said):
    (attributes if part is None else attributes[part])[name] = value
    assert said_of(check_attributes, attributes) == said


# --- trials -----------------------------------------------------------------------------------------------------

SPACE = {"alpha": FloatDistribution(0.1, 10.0), "target": CategoricalDistribution(("z", "hz"))}


def trial(state=COMPLETE, value=50.0, steps=None, **told):
    found = create_trial(
        state=state,
        value=value if state is COMPLETE else None,
        params={"alpha": 1.0, "target": "z"},
        distributions=SPACE,
        intermediate_values=steps or {},
        user_attrs=told,
    )
    found.number = 7
    return found


def test_what_a_search_writes_of_a_trial_is_believed():
    told = {
        **_TrialRecord(["a"], [50.0], [1], [1], 2.5).attributes(),
        "device": "cuda",
        "processes": 2,
        "error": None,
        "pruned": "by the pruner median",
        claims.WORKER: {**claims.this_worker(), "token": "x", "beat": 1.0},
        claims.LOST: 1,
        claims.LOST_AT: 0,
        claims.EPOCHS: 3,
        claims.RETRY_OF: 0,
    }
    assert set(told) - {claims.WORKER} == set(TRIAL)
    for state in (COMPLETE, RUNNING):
        check_trial(trial(state, steps={1: 50.0, 2: math.nan}, **told))
        check_trial(trial(state))


@pytest.mark.parametrize("name", sorted(TRIAL))
@pytest.mark.parametrize("value", [True, math.nan, [None], {"a": 1}])
def test_an_attribute_of_a_trial_of_another_kind_is_named(name, value):
    assert said_of(check_trial, trial(**{name: value})).startswith(f"trial 7: {name} is '")


@pytest.mark.parametrize("name", sorted(OWNER))
def test_a_worker_is_known_by_all_of_its_marks(name):
    worker = {**claims.this_worker(), "beat": 1.0}
    check_trial(trial(worker=worker))
    del worker[name]
    assert said_of(check_trial, trial(worker=worker)) == f"trial 7: its worker lacks '{name}'"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_complete_trial_has_a_finite_score(value):
    odd = trial()
    odd.values = [value]
    assert said_of(check_trial, odd) == f"trial 7 is complete, but its Score is '[{value}]'"


def test_a_complete_trial_has_a_score():
    bare = trial()
    bare.values = None
    assert said_of(check_trial, bare) == "trial 7 is complete, but its Score is 'None'"


@pytest.mark.parametrize("steps", [{1: "x"}, {1: None}, {"1": 1.0}, {1.5: 1.0}])
def test_epochs_are_numbers_with_numbers(steps):
    assert said_of(check_trial, trial(steps=steps)) == "trial 7 has epochs that are no numbers"


@pytest.mark.parametrize("value", [None, [1], math.inf, {}])
def test_parameters_are_values(value):
    odd = trial()
    odd._params["alpha"] = value
    assert said_of(check_trial, odd) == "trial 7 has parameters that are no values"


@pytest.mark.parametrize("name", ["a", "A9._+=-", "x" * 100])
def test_names_that_a_search_gives_are_believed(name):
    check_study_name(name)


@pytest.mark.parametrize("name", [None, 1, "", "x" * 101, "a b", "a\n", ".a", "é"])
def test_names_that_no_search_gives_are_not_believed(name):
    assert said_of(check_study_name, name) == "its name is none that a search gives"
