"""The tree of errors: exit codes, what crosses a process border, and what an error that is kept lets go of."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref

import pytest

from bench.core import errors
from bench.core.errors import BenchError, DataError, InterruptedRunError, RunError, SpecError, chain_of, forget

EXIT_CODES = {
    "BenchError": 1,
    "CancelledJobError": 1,
    "DataError": 3,
    "InterruptedRunError": 130,
    "LostProcessError": 1,
    "MemoryRunError": 1,
    "PrunedRunError": 1,
    "RegistryError": 2,
    "ResultError": 2,
    "RunError": 1,
    "RunWeightsError": 2,
    "SpecError": 2,
    "StoreError": 4,
    "UnexpectedError": 1,
    "WeightsError": 2,
}
CLASSES = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, BenchError)]


def test_exit_codes_are_the_documented_ones():
    assert {kind.__name__: kind.exit_code for kind in CLASSES} == EXIT_CODES


@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize("hint", [None, "Do it otherwise."])
@pytest.mark.parametrize("copied", [lambda error: pickle.loads(pickle.dumps(error)), copy.copy, copy.deepcopy])
def test_a_copy_is_the_very_error(kind, hint, copied):
    back = copied(kind("It is wrong.", hint))
    assert type(back) is kind
    assert (back.message, back.hint, str(back)) == ("It is wrong.", hint, "It is wrong.")


def raised(error, *before):
    """The error, raised while those before it were dealt with, each of them the cause of the next."""
    try:
        if before:
            raise error from raised(*before)
        raise error
    except BenchError as caught:
        return caught


def test_a_chain_has_each_error_once():
    first, second, third = DataError("1"), RunError("2"), SpecError("3")
    assert list(chain_of(raised(third, second, first))) == [third, second, first]
    assert list(chain_of(first)) == [first]


def test_a_chain_in_a_circle_ends():
    first, second = ValueError("1"), OSError("2")
    first.__cause__, second.__context__ = second, first
    assert list(chain_of(first)) == [first, second]


def test_a_chain_has_causes_and_contexts():
    error, cause, context = SpecError("3"), ValueError("1"), OSError("2")
    error.__cause__, error.__context__ = cause, context
    assert set(chain_of(error)) == {error, cause, context}


class Model:
    """Something large that a frame held when the error passed."""


def failed_beside_a_model():
    """An error with a cause, and a reference to the model that a frame of its traceback holds."""
    model = Model()
    kept = weakref.ref(model)

    def train(_used):
        raise ValueError("a loss that is not finite")

    try:
        try:
            train(model)
        except ValueError as error:
            raise RunError("The run\nfailed:\x1b[2J  badly.", "Look.") from error
    except RunError as error:
        return error, kept


def test_an_error_that_is_kept_lets_go_of_the_model():
    error, model = failed_beside_a_model()
    # As a debugger or a report of a test holds them: the frames themselves have to let go.
    held = [part.__traceback__ for part in chain_of(error)]
    gc.collect()
    assert model() is not None
    kept = error.detached()
    gc.collect()
    assert all(held)
    assert model() is None
    assert (kept.message, kept.hint, type(kept)) == ("The run failed:?[2J badly.", "Look.", RunError)
    assert kept.__traceback__ is kept.__cause__ is kept.__context__ is None


def test_forgetting_goes_through_the_whole_chain_and_is_done_twice_without_harm():
    chain = [SpecError("1"), RunError("2"), DataError("3")]
    error = raised(chain[2], chain[1], chain[0])
    for _ in range(2):
        forget(error)
        assert all(part.__traceback__ is part.__cause__ is part.__context__ is None for part in chain)


def test_a_detached_interruption_stays_one():
    kept = InterruptedRunError("Stopped.").detached()
    assert type(kept) is InterruptedRunError
    assert kept.exit_code == 130
    assert kept.hint is None
