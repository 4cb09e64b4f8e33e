"""What errors mean for a trial: each belongs to exactly one kind, and what a study keeps of it fits on one line."""

import errno
from datetime import datetime, timedelta

import pytest
from optuna.trial import TrialState, create_trial

from bench.core.errors import (
    BenchError,
    DataError,
    InterruptedRunError,
    LostProcessError,
    PrunedRunError,
    ResultError,
    RunError,
    RunWeightsError,
    SpecError,
    StoreError,
    UnexpectedError,
    WeightsError,
)
from bench.search.failures import CAUSE_LENGTH, CircuitBreaker, cause_of, is_lost, is_own_fault, shared_fault
from bench.search.trials import RETRY_OF, originals, tried_again

COMPLETE, PRUNED, FAIL, RUNNING = TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, TrialState.RUNNING

# --- kinds ------------------------------------------------------------------------------------------------------

FULL_DISKS = [OSError(number, "no", "/x") for number in (errno.ENOSPC, errno.EDQUOT, errno.EROFS)]

KINDS = {
    "own": [RunError("x"), SpecError("x"), WeightsError("x"), MemoryError(), PrunedRunError("x")],
    "lost": [
        LostProcessError("x"),
        UnexpectedError("ValueError: x"),
        ValueError("x"),
        OSError(errno.EIO, "x"),
        RuntimeError("NCCL error"),
        RunError("CUDA error: device-side assert"),
        DataError("HIP error: invalid device function"),
    ],
    "shared": [
        RunWeightsError("x"),
        DataError("x"),
        StoreError("x"),
        ResultError("x"),
        InterruptedRunError("x"),
        KeyboardInterrupt(),
        *FULL_DISKS,
    ],
}


@pytest.mark.parametrize(("kind", "error"), [(kind, error) for kind, errors in KINDS.items() for error in errors])
def test_an_error_is_the_trials_own_or_loses_an_attempt_or_ends_the_search(kind, error):
    assert (is_own_fault(error), is_lost(error)) == (kind == "own", kind == "lost")


@pytest.mark.parametrize("chained", ["__cause__", "__context__"])
@pytest.mark.parametrize("depth", [1, 2, 5])
def test_an_unusable_device_is_found_however_deep_it_lies(chained, depth):
    error: BaseException = RuntimeError("CUBLAS_STATUS_ALLOC_FAILED")
    for _ in range(depth):
        outer = RunError("It failed.")
        setattr(outer, chained, error)
        error = outer
    assert is_lost(error)
    assert not is_own_fault(error)


def test_errors_that_caused_one_another_in_a_circle_are_looked_at_once():
    one, other = RunError("one"), RunError("other")
    one.__cause__, other.__cause__ = other, one
    assert not is_lost(one)


@pytest.mark.parametrize("error", FULL_DISKS)
def test_a_full_disk_becomes_a_sentence_with_advice(error):
    found = shared_fault(error)
    assert isinstance(found, StoreError)
    assert (found.message, found.hint) == ("Cannot write /x: no.", "Free space, then go on with the same command.")


def test_a_full_disk_without_a_name_is_told_without_one():
    assert shared_fault(OSError(errno.ENOSPC, "No space left on device")).message == (
        "Cannot write: No space left on device."
    )


@pytest.mark.parametrize("error", [OSError(errno.EIO, "x"), DataError("x"), KeyboardInterrupt()])
def test_other_errors_end_a_worker_as_they_are(error):
    assert shared_fault(error) is error


# --- causes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (BenchError("The loss is nan.", "a hint"), "The loss is nan."),
        (MemoryError(), "The machine ran out of memory."),
        (MemoryError("17 GiB"), "The machine ran out of memory."),
        (ValueError(), "ValueError"),
        (ValueError("\n \n first\nsecond"), "ValueError:  first"),
        (RuntimeError("bell\a and \x1b]0;title"), "RuntimeError: bell? and ?]0;title"),
        (SpecError("two\nlines"), "two?lines"),
        (ValueError("α is \u202e turned"), "ValueError: α is ? turned"),
    ],
)
def test_the_cause_that_a_study_keeps(error, cause):
    assert cause_of(error) == cause
    assert cause_of(error).isprintable()


@pytest.mark.parametrize(("length", "cut"), [(CAUSE_LENGTH, False), (CAUSE_LENGTH + 1, True), (10**6, True)])
def test_a_cause_has_a_longest_length(length, cut):
    found = cause_of(RunError("x" * length))
    assert len(found) == CAUSE_LENGTH
    assert found.endswith("…") == cut


# --- failing alike ----------------------------------------------------------------------------------------------

NOON = datetime(2024, 1, 1, 12)


def ended(number, state=FAIL, error="a", minute=None):
    """A trial that ended so many minutes after noon; with its number as the minute where none is given."""
    trial = create_trial(
        state=state, value=1.0 if state is COMPLETE else None, user_attrs={} if error is None else {"error": error}
    )
    trial.number = number
    trial.datetime_complete = NOON + timedelta(minutes=number if minute is None else minute)
    return trial


def running(number):
    trial = create_trial(state=RUNNING)
    trial.number, trial.datetime_complete = number, None
    return trial


def breaks(trials, limit=3, since=0.0):
    try:
        CircuitBreaker(limit, since).check("s", trials)
    except RunError as error:
        return error
    return None


@pytest.mark.parametrize(
    ("trials", "stops"),
    [
        ([], False),
        ([ended(0), ended(1)], False),
        ([ended(0), ended(1), ended(2)], True),
        ([ended(0, COMPLETE), ended(1), ended(2), ended(3)], True),
        ([ended(0), ended(1), ended(2), ended(3, COMPLETE)], False),
        ([ended(0), ended(1), ended(2, PRUNED)], False),
        ([ended(0), ended(1), ended(2, error="b")], False),
        ([ended(0, error=None), ended(1, error=None), ended(2, error=None)], True),
        ([ended(0), ended(1), running(2), ended(3)], True),
    ],
)
def test_the_last_trials_that_ended_decide(trials, stops):
    assert (breaks(trials) is not None) == stops


def test_the_order_of_ending_counts_and_not_that_of_the_numbers():
    # Trial 0 is the last to end: a long one beside three that failed at once.
    late = [ended(0, COMPLETE, minute=9), ended(1), ended(2), ended(3)]
    early = [ended(0, COMPLETE, minute=0), ended(1), ended(2), ended(3)]
    for listed in (list, reversed):
        assert breaks(list(listed(late))) is None
        assert breaks(list(listed(early))) is not None


def test_trials_that_ended_at_the_same_moment_count_in_the_order_of_their_numbers():
    assert breaks([ended(3, COMPLETE, minute=0), *(ended(n, minute=0) for n in range(3))]) is None
    assert breaks([ended(0, COMPLETE, minute=0), *(ended(n, minute=0) for n in range(1, 4))]) is not None


@pytest.mark.parametrize(("minute", "stops"), [(0, True), (1, False)])
def test_failures_before_the_search_began_do_not_count(minute, stops):
    since = (NOON + timedelta(minutes=minute)).timestamp()
    assert (breaks([ended(0), ended(1), ended(2)], since=since) is not None) == stops


@pytest.mark.parametrize(
    ("causes", "alike"),
    [
        (["step 1 of 81", "step 2 of 81", "step 30 of 81"], True),
        (["1.5 GiB", "17 GiB", "1,024 GiB"], True),
        (["1e-05", "2.5e+3", "7"], True),
        (["process 1: out of memory", "process 2: out of memory", "process 3: no memory"], False),
    ],
)
def test_causes_that_differ_in_numbers_alone_are_the_same(causes, alike):
    trials = [ended(number, error=cause) for number, cause in enumerate(causes)]
    assert (breaks(trials) is not None) == alike


def test_the_message_has_the_number_the_last_cause_and_the_way_on():
    error = breaks([ended(number, error=f"step {number}") for number in range(4)], limit=4)
    assert error.message == "4 trials in a row failed with the same cause: step 3"
    assert "`bench search resume s --retry-failed`" in error.hint


def test_a_limit_of_zero_never_stops_a_search():
    assert breaks([ended(number) for number in range(100)], limit=0) is None


def test_a_limit_of_one_stops_at_the_first_failure():
    assert breaks([ended(0)], limit=1) is not None
    assert breaks([ended(0, COMPLETE)], limit=1) is None


# --- trials that are done again ---------------------------------------------------------------------------------


def test_trials_in_the_place_of_others_do_not_count_and_name_whom_they_replace():
    trials = [ended(0), ended(1), ended(2)]
    trials[1].user_attrs[RETRY_OF] = 0
    trials[2].user_attrs[RETRY_OF] = 1
    assert [trial.number for trial in originals(trials)] == [0]
    assert tried_again(trials) == {0, 1}
    assert (originals([]), tried_again([])) == ([], set())
