"""What hears of a run: the order of the calls, what listeners may ask for, and states that are saved by time."""

from __future__ import annotations

import pytest
from small_runs import SETTINGS

import bench
from bench.core.errors import InterruptedRunError, RunError
from bench.engine.data import open_run_data
from bench.engine.listeners import Listener, Listeners, Start, Wish
from bench.engine.position import Position
from bench.engine.run_listeners import TimedCheckpoints, listeners_of_run
from bench.engine.trainer import Trainer
from leaderboard.results.run_folder import RunFolder

START = Start(label="run", epochs=2, steps=3)


class Ear(Listener):
    """Writes down what it hears, and asks for what it is told to at each step."""

    def __init__(self, wishes=None):
        self.heard, self.wishes, self.losses = [], wishes or {}, []

    def on_start(self, start):
        self.heard.append("start")

    def on_losses(self, epoch, step, losses):
        self.heard.append((epoch, step))
        self.losses += losses
        return self.wishes.get((epoch, step), Wish.GO_ON)

    def on_epoch(self, entry):
        self.heard.append(f"epoch {entry['epoch']}")

    def on_checkpoint(self, position):
        self.heard.append(f"saved {position.epoch} {position.step}")

    def on_epoch_end(self, position):
        self.heard.append(f"ended {position.epoch} {position.step}")

    def on_end(self):
        self.heard.append("end")


@pytest.fixture(scope="module")
def spec(small_data, small_cache):
    return bench.resolve(
        "ast", "patchmix-cl", data=small_data, cache=small_cache, settings=SETTINGS, device="cpu", epochs=2
    )


def train(spec, folder, *listeners):
    return Trainer(spec, open_run_data(spec), folder, listeners=listeners).fit()


def test_a_listener_hears_of_everything_in_its_order(spec, tmp_path):
    ear = Ear()
    outcome = train(spec, tmp_path, ear)
    steps = [[(epoch, step) for step in (1, 2, 3)] for epoch in (1, 2)]
    # Minutes would pass before a state by time; the best epoch so far has one, which the first always is, and the last.
    ends = ["epoch 1", "saved 1 0", "ended 1 0"], ["epoch 2", "saved 2 0", "ended 2 0"]
    expected = ["start", *steps[0], *ends[0], *steps[1], *ends[1], "end"]
    assert ear.heard == expected
    assert set(ear.losses[0]) == {"loss", "ce", "contrastive"}
    first = [losses["loss"] for losses in ear.losses[:3]]
    assert sum(first) / 3 == outcome.position.epochs[0]["loss"]


def test_a_state_in_the_middle_of_an_epoch_changes_no_number_and_is_gone_on_from(spec, tmp_path):
    plain = train(spec, tmp_path / "plain")
    saving = Ear({(1, 1): Wish.SAVE, (2, 2): Wish.SAVE, (1, 3): Wish.SAVE, (2, 3): Wish.STOP})
    with pytest.raises(InterruptedRunError, match="Stopped in epoch 2, step 3 of 3; the state is saved"):
        train(spec, tmp_path / "saved", saving)
    # That of the last step of epoch 1 is saved after the evaluation.
    assert [word for word in saving.heard if "saved" in word] == ["saved 0 1", "saved 1 0", "saved 1 2", "saved 1 3"]
    assert saving.heard[-1] == "end"
    gone_on = train(spec, tmp_path / "saved")
    for name in ("loss", "losses", "lr", "test"):
        assert [row[name] for row in gone_on.position.epochs] == [row[name] for row in plain.position.epochs]


def test_a_run_that_is_killed_after_a_state_within_an_epoch_equals_one_that_was_not(spec, tmp_path):
    class Killed(BaseException):
        pass

    class Killer(Ear):
        def on_checkpoint(self, position):
            if position.step == 2:
                raise Killed

    plain = train(spec, tmp_path / "plain")
    with pytest.raises(Killed):
        train(spec, tmp_path / "killed", Killer({(1, 2): Wish.SAVE}))
    ear = Ear()
    gone_on = train(spec, tmp_path / "killed", ear)
    assert ear.heard[1] == (1, 3)
    assert [row["losses"] for row in gone_on.position.epochs] == [row["losses"] for row in plain.position.epochs]


def test_time_makes_states_and_each_state_starts_it_anew():
    now = [100.0]
    timed = TimedCheckpoints(60, clock=lambda: now[0])
    timed.on_start(START)
    asked = []
    for step, at in enumerate((130, 159, 160, 219, 221), start=1):
        now[0] = at
        asked.append(timed.on_losses(1, step, []))
        if asked[-1] == Wish.SAVE:
            timed.on_checkpoint(Position(step=step))
    assert asked == [Wish.GO_ON, Wish.GO_ON, Wish.SAVE, Wish.GO_ON, Wish.SAVE]
    now[0] = 230
    timed.on_checkpoint(Position(epoch=1))
    now[0] = 289
    assert timed.on_losses(2, 1, []) == Wish.GO_ON


def test_states_by_time_are_asked_for_by_the_spec_and_change_no_identity(spec, tmp_path):
    class Alone:
        is_main_process = True

    from bench.engine.hooks import Hooks

    def by_time(spec):
        found = listeners_of_run(spec, Hooks(), Alone(), RunFolder(tmp_path))
        return [one for one in found if isinstance(one, TimedCheckpoints)]

    timed = spec.changed(checkpoint_minutes=2.5)
    assert timed.run_id == spec.run_id
    (found,) = by_time(timed)
    assert found.seconds == 150
    assert by_time(spec)[0].seconds == 300
    assert not by_time(spec.changed(checkpoint_minutes=0))


def test_a_state_after_each_epoch_is_to_be_had(spec, tmp_path):
    ear = Ear()
    train(spec.changed(checkpoint_minutes=0), tmp_path, ear)
    assert [word for word in ear.heard if "saved" in word] == ["saved 1 0", "saved 2 0"]


def test_a_run_with_states_by_time_has_the_same_numbers(spec, tmp_path):
    ear = Ear()
    timed = train(spec.changed(checkpoint_minutes=1e-9), tmp_path / "timed", ear)
    assert [word for word in ear.heard if "saved" in word] == [
        *("saved 0 1", "saved 0 2", "saved 1 0", "saved 1 1", "saved 1 2", "saved 2 0"),
    ]
    plain = train(spec, tmp_path / "plain")
    assert [row["test"] for row in timed.position.epochs] == [row["test"] for row in plain.position.epochs]


def test_every_listener_that_was_started_hears_of_the_end_the_last_first():
    ends = []

    class Named(Listener):
        def __init__(self, name, fails=False):
            self.name, self.fails = name, fails

        def on_start(self, start):
            if self.fails:
                raise RunError("No.")

        def on_end(self):
            ends.append(self.name)

    with pytest.raises(ZeroDivisionError), Listeners([Named("a"), Named("b")], START):
        raise ZeroDivisionError
    assert ends == ["b", "a"]
    ends.clear()
    with pytest.raises(RunError), Listeners([Named("a"), Named("b", fails=True), Named("c")], START):
        pass
    assert ends == ["b", "a"]


def test_the_highest_wish_is_done():
    ears = [Ear({(1, 1): wish}) for wish in (Wish.SAVE, Wish.STOP, Wish.GO_ON)]
    with Listeners(ears, START) as listeners:
        assert listeners.on_losses(1, 1, []) == Wish.STOP
        assert listeners.on_losses(1, 2, []) == Wish.GO_ON
    assert Listeners([], START).on_losses(1, 1, []) == Wish.GO_ON


def test_one_listener_that_fails_keeps_no_other_from_hearing_of_the_end():
    class Failing(Ear):
        def on_end(self):
            super().on_end()
            raise RunError("no luck")

    ears = [Ear(), Failing(), Ear()]
    with pytest.raises(RunError, match="no luck"), Listeners(ears, START):
        pass
    assert [ear.heard for ear in ears] == [["start", "end"]] * 3
