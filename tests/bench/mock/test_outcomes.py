"""How mock-run goes through its checks, and what its checks judge: made-up checks and numbers, and no run at all."""

from __future__ import annotations

import math
import tempfile
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from plugin_files import fresh_registries, write_plugin

from bench.core.errors import RunError, SpecError
from bench.mock import checked_pair, checks
from bench.mock.checks import SHOWN, Check, CheckFailedError, CheckSkippedError
from bench.mock.run import CheckOutcome, mock_run


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch):
    """A place for temporary folders in which nothing may be left."""
    place = tmp_path / "tmp"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    yield place
    assert list(place.iterdir()) == []


def check(name, does, *needs):
    """A check that gives back a clause, or raises what it is given."""

    def run(_pair):
        if isinstance(does, BaseException):
            raise does
        return does

    return Check(name, f"the title of {name}", run, needs)


def outcomes_of(*made, **options):
    return {outcome.check: outcome for outcome in mock_run("ast", "ce", checks=made, **options)}


ENDS = [
    ("all is well", "passed", "all is well"),
    (CheckFailedError("it is wrong."), "failed", "it is wrong"),
    (CheckSkippedError("there is nothing to judge"), "skipped", "there is nothing to judge"),
    (RunError("The loss is nan.", "Lower the rate."), "failed", "The loss is nan"),
    (SpecError("The batch is 0."), "failed", "The batch is 0"),
    (KeyError("lr"), "failed", "KeyError: 'lr'"),
    (AssertionError(), "failed", "AssertionError: "),
    (MemoryError("no memory"), "failed", "MemoryError: no memory"),
    (SystemExit(0), "failed", "SystemExit: 0"),
]


@pytest.mark.parametrize(("does", "status", "reason"), ENDS)
def test_a_check_ends_in_a_status_and_a_clause(does, status, reason):
    (outcome,) = outcomes_of(check("one", does)).values()
    assert (outcome.check, outcome.title, outcome.status) == ("one", "the title of one", status)
    assert outcome.reason == reason
    assert outcome.seconds >= 0


def test_ctrl_c_ends_the_checks():
    with pytest.raises(KeyboardInterrupt):
        outcomes_of(check("one", KeyboardInterrupt()))


def test_what_needs_a_check_that_did_not_pass_is_skipped_whatever_kept_it():
    failed, skipped = CheckFailedError("no"), CheckSkippedError("no")
    found = outcomes_of(
        check("good", "yes"),
        check("bad", failed),
        check("odd", skipped),
        check("on-good", "yes", "good"),
        check("on-bad", "yes", "bad"),
        check("on-odd", "yes", "good", "odd"),
        check("on-both", "yes", "odd", "bad"),
        check("on-skipped", "yes", "on-bad"),
    )
    assert found["on-good"].status == "passed"
    reasons = {name: outcome.reason for name, outcome in found.items() if outcome.status == "skipped"}
    assert reasons == {
        "odd": "no",
        "on-bad": "needs bad",
        "on-odd": "needs odd",
        "on-both": "needs odd and bad",
        "on-skipped": "needs on-bad",
    }
    assert found["on-bad"].seconds == 0.0


def test_outcomes_are_told_as_they_come_and_given_in_the_end():
    told = []

    def run_second(_pair):
        assert [outcome.check for outcome in told] == ["first"], "told before the next check begins"
        return "yes"

    second = Check("second", "the title", run_second)
    found = mock_run("ast", "ce", checks=[check("first", "yes"), second], on_outcome=told.append)
    assert told == found
    assert all(isinstance(outcome, CheckOutcome) and outcome.status == "passed" for outcome in found)


def test_all_checks_see_the_same_pair_and_its_folder(temporary):
    seen = []

    def look(pair):
        seen.append(pair)
        assert pair.folder.parent == temporary
        (pair.folder / f"of {len(seen)}").touch()
        return str(len(list(pair.folder.iterdir())))

    found = mock_run("ast", "ce", checks=[Check("a", "", look), Check("b", "", look)])
    assert seen[0] is seen[1]
    assert [outcome.reason for outcome in found] == ["1", "2"]


def test_an_error_from_a_plugins_code_names_its_line(tmp_path):
    path = write_plugin(tmp_path / "mine.py")
    with fresh_registries():

        def call_it(pair):
            return pair.method.load()(None, None)  # the sound method reads its options

        (outcome,) = mock_run("ast", "mine", [path], checks=[Check("one", "", call_it)])
    assert outcome.status == "failed"
    assert outcome.reason.startswith(f"The plug-in {path}, line ")
    assert "AttributeError: 'NoneType' object has no attribute 'smoothing'" in outcome.reason


@pytest.mark.parametrize(
    ("model", "method", "frontend", "words"),
    [
        ("asst", "ce", None, "Unknown model 'asst': did you mean 'ast'"),
        ("ast", "cee", None, "Unknown method 'cee': did you mean 'ce'"),
        ("ast", "ce", "asd", "Unknown front-end 'asd': did you mean 'ast'"),
        ("cnn6", "patchmix-ce", None, "mixes patches, but the model 'cnn6' has none"),
    ],
)
def test_a_pair_that_cannot_be_is_refused_before_any_check(model, method, frontend, words):
    with pytest.raises(SpecError) as caught:
        mock_run(model, method, checks=[check("one", AssertionError("it was checked"))], frontend=frontend)
    assert words in caught.value.message


# What the checks judge


@pytest.mark.parametrize(
    ("count", "shown"),
    [(1, "0"), (SHOWN, "0, 1, 2"), (SHOWN + 1, "0, 1, 2 and 1 more"), (100, "0, 1, 2 and 97 more")],
)
def test_of_many_names_the_first_are_told(count, shown):
    assert checks._first_names([str(number) for number in range(count)]) == shown


STAGE = SimpleNamespace(name="probe")
ODD_LOSSES = [
    (None, "stage probe: the method returns no mapping with 'loss'"),
    ([], "returns no mapping"),
    ({"ce": torch.tensor(1.0)}, "returns no mapping with 'loss'"),
    ({"loss": 1.0}, "'loss' is no scalar tensor"),
    ({"loss": torch.ones(1)}, "'loss' is no scalar tensor"),
    ({"loss": torch.tensor(1.0), "ce": torch.ones(2, 2)}, "'ce' is no scalar tensor"),
    ({"loss": torch.tensor(math.nan)}, "'loss' is nan"),
    ({"loss": torch.tensor(1.0), "ce": torch.tensor(-math.inf)}, "'ce' is -inf"),
]


@pytest.mark.parametrize(("losses", "words"), ODD_LOSSES)
def test_losses_that_cannot_be_trained_on_are_named_with_their_stage(losses, words):
    with pytest.raises(CheckFailedError) as caught:
        checks._refuse_odd_losses(STAGE, losses)
    assert words in str(caught.value)
    assert str(caught.value).startswith("stage probe: ")


def test_losses_of_any_finite_size_are_taken():
    checks._refuse_odd_losses(STAGE, {"loss": torch.tensor(-3.0), "parts": torch.tensor(0)})


@pytest.fixture
def runs(monkeypatch):
    """Makes a run of given losses and scores, of which the checks read nothing else."""
    monkeypatch.setattr(checks, "_scores", lambda run: np.asarray(run.scores))

    def make(losses, scores):
        return SimpleNamespace(document={"epochs": [{"loss": loss} for loss in losses]}, scores=scores)

    return make


@pytest.mark.parametrize("sign", [1, -1])
def test_runs_are_compared_by_their_largest_difference(runs, sign):
    one = runs([1.0, 2.0], [[0.25, 0.75], [0.5, 0.5]])
    near = runs([1.0, 2.0 + sign * 0.125], [[0.25, 0.75], [0.5 - sign * 0.0625, 0.5]])
    assert checks._compare_runs(one, near, 0.125, "the other") == 0.125
    assert checks._compare_runs(one, one, 0.0, "the other") == 0.0
    with pytest.raises(CheckFailedError, match=r"^losses of the other differ by 0\.12, allowed is 0\.1$"):
        checks._compare_runs(one, near, 0.1, "the other")
    with pytest.raises(CheckFailedError, match=r"^scores of the other differ by 0\.062, allowed is 0\.05$"):
        checks._compare_runs(one, near, 0.05, "the other")


@pytest.mark.parametrize("where", ["losses", "scores"])
def test_a_number_that_is_none_equals_nothing(runs, where):
    one = runs([1.0], [[0.5]])
    odd = runs([math.nan], [[0.5]]) if where == "losses" else runs([1.0], [[math.nan]])
    with pytest.raises(CheckFailedError, match=f"^{where} of the other differ by nan"):
        checks._compare_runs(one, odd, 1e9, "the other")


def test_a_run_that_cannot_be_divided_is_no_failure_of_the_pair():
    def refuse(_name, **_changes):
        raise SpecError("Random numbers are drawn in a way that cannot be divided.")

    pair = SimpleNamespace(launch=refuse)
    with pytest.raises(CheckSkippedError, match=r"^several processes are refused: .* cannot be divided$"):
        checks._check_processes(pair)


def test_the_small_run_is_of_short_clips_where_the_front_end_makes_them():
    card = checked_pair.FRONTENDS.card("ast")
    settings = dict(pair.split("=") for pair in checked_pair._frontend_settings(card))
    frames, mels = card.options(seconds=checked_pair.SECONDS).shape
    assert settings["frontend.seconds"] == "1.0"
    assert int(settings["specaug_time_width"]) == min(checked_pair.WIDEST_MASK, frames)
    assert int(settings["specaug_freq_width"]) == min(checked_pair.WIDEST_MASK, mels)
