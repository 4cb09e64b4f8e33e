"""Saved states: what is not what was saved is named and not used, the state before it is; none is believed blindly."""

import dataclasses
import io
import json
import os
import pickle
import shutil
import signal
import stat
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from cli_runs import EVERY_EPOCH, SMALL_AST

from bench.cli import main
from bench.core.errors import StoreError
from bench.engine import checkpoint, trainer
from bench.engine.checkpoint import Checkpoint
from bench.engine.position import Bounds, Position
from bench.engine.selection import Selection
from bench.engine.states import SavedState, check_files, named_states, read_contents

EPOCHS, STOP_AFTER_STEPS = 4, 8
WORDS = ["run", *SMALL_AST, *EVERY_EPOCH, "--epochs", str(EPOCHS), "--device", "cpu", "--format", "json"]
"""Three steps an epoch: the stop comes after two epochs and two steps."""


def run(capsys, home, *more, code=0):
    with pytest.raises(SystemExit) as ended:
        main([*WORDS, "--home", str(home), *map(str, more)])
    printed = capsys.readouterr()
    assert ended.value.code == code, printed.err
    assert "Traceback" not in printed.err
    assert "internal error" not in printed.err
    return printed


class Place:
    """Two saved states of a run, and the losses of the run that nobody stopped."""

    def __init__(self, home: Path, data: list[str], losses: list[float]) -> None:
        self.home, self.data, self.losses = home, data, losses
        (self.checkpoint,) = home.glob("runs/*/checkpoint")

    @property
    def pointer(self):
        return json.loads((self.checkpoint / "current.json").read_text())

    def point(self, document) -> None:
        (self.checkpoint / "current.json").write_text(json.dumps(document))

    @property
    def current(self) -> Path:
        return self.checkpoint / self.pointer["state"]

    @property
    def before(self) -> Path:
        return self.checkpoint / self.pointer["before"]["state"]

    def as_an_earlier_version_wrote_it(self) -> None:
        self.point({"state": self.pointer["state"]})


def losses_of(printed):
    return [entry["loss"] for entry in json.loads(printed.out)["epochs"]]


@pytest.fixture(scope="module")
def stopped(small_data, small_cache, tmp_path_factory):
    """A home whose run was stopped, and the losses of an uninterrupted run."""
    home, whole = tmp_path_factory.mktemp("stopped"), tmp_path_factory.mktemp("whole")
    data = ["--data", str(small_data), "--cache", str(small_cache)]
    steps, step = [], trainer.Trainer._train_step

    def stop_in_time(self, rows, epoch, number):
        steps.append(number)
        if len(steps) == STOP_AFTER_STEPS:
            signal.raise_signal(signal.SIGTERM)
        return step(self, rows, epoch, number)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(trainer.Trainer, "_train_step", stop_in_time)
        with pytest.raises(SystemExit) as ended:
            main([*WORDS, "--home", str(home), *data])
    assert ended.value.code == 130
    with pytest.raises(SystemExit):
        main([*WORDS, "--home", str(whole), *data])
    result = json.loads(next(whole.glob("runs/*/result.json")).read_text())
    return home, data, [entry["loss"] for entry in result["epochs"]]


@pytest.fixture
def place(stopped, tmp_path):
    home, data, losses = stopped
    shutil.copytree(home, tmp_path / "home")
    return Place(tmp_path / "home", data, losses)


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) * 2 // 3] ^= 1
    path.write_bytes(content)


def edit(state: Path, change) -> None:
    document = json.loads((state / "position.json").read_text())
    change(document)
    (state / "position.json").write_text(json.dumps(document))


def test_two_states_are_kept_and_nothing_else(place):
    folders = {path.name for path in place.checkpoint.iterdir()}
    assert folders == {"current.json", "epochs.json", "epoch0002-step000000", "epoch0002-step000002"}
    assert place.current.name == "epoch0002-step000002"
    for entry in (place.pointer, place.pointer["before"]):
        assert set(entry["files"]) == {path.name for path in (place.checkpoint / entry["state"]).iterdir()}


FILES = ("model.safetensors", "optimizer.bin", "position.json")
BROKEN = {
    "a bit": flip_a_bit,
    "cut": lambda path: path.write_bytes(path.read_bytes()[:30]),
    "empty": lambda path: path.write_bytes(b""),
    "missing": Path.unlink,
    "a folder": lambda path: (path.unlink(), path.mkdir()),
    "a pipe": lambda path: (path.unlink(), os.mkfifo(path)),
}


@pytest.mark.parametrize("file", FILES)
def test_a_file_with_another_bit_is_named_and_the_state_before_is_used(place, capsys, file):
    flip_a_bit(place.current / file)
    printed = run(capsys, place.home, *place.data)
    said = " ".join(printed.err.split())
    assert f"the saved state epoch0002-step000002: {file} is not what was saved" in said
    assert "the one before it is used" in said
    assert "going on after epoch 2, step 0" in said
    assert losses_of(printed) == place.losses


@pytest.mark.parametrize("way", BROKEN)
def test_files_that_are_not_what_was_saved_are_named(place, way):
    (state, _) = named_states(place.checkpoint)
    check_files(state)
    BROKEN[way](state.folder / "optimizer.bin")
    with pytest.raises(ValueError, match=r"optimizer\.bin is "):
        check_files(state)


@pytest.mark.parametrize("way", ["a bit", "missing"])
def test_without_a_state_that_holds_a_run_begins_anew_only_when_asked(place, capsys, way):
    for state in (place.current, place.before):
        BROKEN[way](state / "model.safetensors")
    before = sorted(path.name for path in place.checkpoint.iterdir())
    said = " ".join(run(capsys, place.home, *place.data, code=4).err.split())
    assert "cannot be read" in said
    assert "epoch0002-step000002: model.safetensors is" in said
    assert "epoch0002-step000000: model.safetensors is" in said
    assert "--rerun" in said
    assert sorted(path.name for path in place.checkpoint.iterdir()) == before, "nothing is lost by the refusal"
    assert not list(place.home.glob("runs/*/result.json"))
    assert losses_of(run(capsys, place.home, *place.data, "--rerun")) == place.losses


def test_a_state_that_was_fallen_back_to_is_the_one_before_the_next(place, capsys, monkeypatch):
    """The broken state is not kept as the one to fall back to."""
    flip_a_bit(place.current / "model.safetensors")
    step = trainer.Trainer._train_step

    def stop_at_once(self, rows, epoch, number):
        signal.raise_signal(signal.SIGTERM)
        return step(self, rows, epoch, number)

    with monkeypatch.context() as patched:
        patched.setattr(trainer.Trainer, "_train_step", stop_at_once)
        run(capsys, place.home, *place.data, code=130)
    assert place.current.name == "epoch0002-step000001"
    assert place.before.name == "epoch0002-step000000"
    assert losses_of(run(capsys, place.home, *place.data)) == place.losses


POSITIONS = {
    "epoch beyond the run": lambda d: d["position"].update(epoch=99),
    "epoch beyond its entries": lambda d: d["position"].update(epoch=3),
    "step beyond the epoch": lambda d: d["position"].update(step=10**9),
    "negative step": lambda d: d["position"].update(step=-1),
    "negative epoch": lambda d: d["position"].update(epoch=-2),
    "text": lambda d: d["position"].update(epoch="2"),
    "bool": lambda d: d["position"].update(step=True),
    "a fraction": lambda d: d["position"].update(step=1.5),
    "nan": lambda d: d["position"].update(loss_sum=float("nan")),
    "infinite": lambda d: d["position"].update(seconds=float("inf")),
    "null": lambda d: d["position"].update(seconds=None),
    "a missing field": lambda d: d["position"].pop("loss_sum"),
    "an unknown field": lambda d: d["position"].update(steps=3),
    "losses that are no object": lambda d: d["position"].update(losses=[1.0]),
    "a loss of text": lambda d: d["position"].update(losses={"ce": "1"}),
    "a loss without a name": lambda d: d["position"].update(losses={"": 1.0}),
    "more losses than a result holds": lambda d: d["position"].update(losses={f"l{n}": 1.0 for n in range(33)}),
    "an entry with a loss of text": lambda d: d["position"]["epochs"][0].update(losses={"ce": "1"}),
    "no position": lambda d: d.pop("position"),
    "a list": lambda d: d.update(position=[]),
    "an entry less": lambda d: d["position"]["epochs"].pop(),
    "entries in another order": lambda d: d["position"]["epochs"].reverse(),
    "an entry of text": lambda d: d["position"]["epochs"].__setitem__(0, "epoch 1"),
    "an entry with an edited score": lambda d: d["position"]["epochs"][0]["test"]["4class"].update(score=99.0),
    "an entry without loss": lambda d: d["position"]["epochs"][0].pop("loss"),
    "a choice less": lambda d: d["choices"].pop("last"),
    "a choice of another rule": lambda d: d["choices"].update(worst=d["choices"]["last"]),
    "a choice of an epoch to come": lambda d: d["choices"]["last"].update(epoch=3),
    "a choice with text": lambda d: d["choices"]["best-test"].update(score="1"),
    "a choice that is no object": lambda d: d["choices"].update(last=3),
}


BOUNDS = Bounds(epochs=EPOCHS, steps=3, cycles=12)


@pytest.mark.parametrize("way", POSITIONS)
def test_a_position_that_cannot_be_is_not_believed(place, way):
    """Whether or not its hash is right."""
    state = SavedState(place.current, None)
    assert read_contents(state, BOUNDS).position.step == 2
    edit(place.current, POSITIONS[way])
    with pytest.raises(ValueError, match=r"\w+"):
        read_contents(state, BOUNDS)


def test_a_state_of_before_losses_were_named_is_gone_on_from(place, capsys):
    place.as_an_earlier_version_wrote_it()
    edit(
        place.current, lambda d: [d["position"].pop("losses"), *(row.pop("losses") for row in d["position"]["epochs"])]
    )
    done = run(capsys, place.home, *place.data)
    assert losses_of(done) == place.losses
    rows = json.loads(done.out)["epochs"]
    assert ["losses" in row for row in rows] == [False, False, False, True]


@pytest.mark.parametrize("way", ["epoch beyond the run", "text"])
def test_a_run_refuses_a_position_that_cannot_be(place, capsys, way):
    """Also where nothing can be compared, as in the state of an earlier version."""
    place.as_an_earlier_version_wrote_it()
    edit(place.current, POSITIONS[way])
    said = run(capsys, place.home, *place.data, code=4).err
    assert "cannot be read: epoch0002-step000002: epoch is " in said
    assert "--rerun" in said
    assert not list(place.home.glob("runs/*/result.json"))


def test_a_position_is_bounded_by_its_run(place):
    state = SavedState(place.current, None)
    edit(place.current, lambda d: d["position"].update(step=4))
    with pytest.raises(ValueError, match="step is 4, but must be a whole number from 0 to 3"):
        read_contents(state, BOUNDS)
    edit(place.current, lambda d: d["position"].update(step=3))
    assert read_contents(state, BOUNDS).position.step == 3
    with pytest.raises(ValueError, match="step is 3, but must be a whole number from 0 to 0"):
        read_contents(state, dataclasses.replace(BOUNDS, epochs=2))


def npz(**arrays):
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def bomb():
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("last.npy", b"\0" * 10**7)
    return stream.getvalue()


SCORES = np.full((12, 4), 0.25)
HOSTILE = {
    "empty": b"",
    "cut": npz(last=SCORES)[:30],
    "text": b"{}",
    "pickles": npz(last=np.array([print] * 12, dtype=object), **{"best-test": SCORES}),
    "a rule less": npz(last=SCORES),
    "other cycles": npz(last=SCORES[:3], **{"best-test": SCORES}),
    "not finite": npz(last=SCORES * np.nan, **{"best-test": SCORES}),
    "words": npz(last=np.full((12, 4), "a"), **{"best-test": SCORES}),
    "a bomb": bomb(),
    "an array": (lambda s: (np.save(s, SCORES), s.getvalue())[1])(io.BytesIO()),
}


@pytest.mark.parametrize("way", HOSTILE)
def test_choices_that_are_none_are_not_believed(place, way):
    (place.current / "choices.npz").write_bytes(HOSTILE[way])
    with pytest.raises(ValueError, match=r"\w+"):
        read_contents(SavedState(place.current, None), BOUNDS)


def test_a_run_refuses_choices_that_were_cut(place, capsys):
    place.as_an_earlier_version_wrote_it()
    (place.current / "choices.npz").write_bytes(HOSTILE["cut"])
    assert "cannot be read" in run(capsys, place.home, *place.data, code=4).err


class Surprise:
    def __reduce__(self):
        return (os.mkdir, ("surprise",))


OPTIMISERS = {
    "code": lambda path: path.write_bytes(pickle.dumps(Surprise())),
    "code in torch's form": lambda path: torch.save(Surprise(), path),
    "another form": lambda path: torch.save({"state": 3}, path),
    "a list": lambda path: torch.save([1], path),
    "of another model": lambda path: torch.save({"state": {}, "param_groups": [{"params": [0]}]}, path),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:500]),
    "empty": lambda path: path.write_bytes(b""),
}


@pytest.fixture
def saved(tmp_path):
    """A checkpoint of a small network that holds a state."""
    accelerator = Accelerator(cpu=True)
    network = torch.nn.Linear(3, 2)
    prepared = accelerator.prepare(network, torch.optim.Adam(network.parameters()))
    kept = Checkpoint(tmp_path / "checkpoint", accelerator)
    kept.enter_stage(*prepared)
    kept.save(Position(), Selection(5.0))
    kept.wait()
    return kept


@pytest.mark.parametrize("umask", [0o002, 0o077])
def test_a_state_has_the_permissions_that_the_umask_leaves(saved, umask):
    """So that another member of a group goes on from it, or nobody else reads it."""
    before = os.umask(umask)
    try:
        saved.save(Position(epoch=1), Selection(5.0))
        saved.wait()
    finally:
        os.umask(before)
    files = list((saved.folder / "epoch0001-step000000").iterdir())
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o666 & ~umask}


@pytest.mark.parametrize("way", OPTIMISERS)
def test_an_optimiser_that_is_none_is_refused_without_advice_to_run_code(saved, way, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    found = saved.find(BOUNDS)
    assert saved.load(found, Selection(5.0)) == Position()
    OPTIMISERS[way](found.state.folder / "optimizer.bin")
    with pytest.raises(StoreError, match="cannot be read: its files do not hold model and optimiser") as caught:
        saved.load(found, Selection(5.0))
    assert "weights_only" not in caught.value.message
    assert not (tmp_path / "surprise").exists()
    with pytest.raises(StoreError, match=r"optimizer.bin is not what was saved"):
        saved.find(BOUNDS)


POINTERS = {
    "cut": '{"state": "epo',
    "empty": "",
    "a list": "[]",
    "nothing": "{}",
    "number": '{"state": 3}',
    "elsewhere": '{"state": "../../other"}',
    "absolute": '{"state": "/tmp"}',
    "hashes gone": '{"state": "epoch0002-step000002", "files": {}}',
    "hashes of text": '{"state": "epoch0002-step000002", "files": {"position.json": "a", "choices.npz": "b"}}',
    "deep": '{"before": ' * 5000 + "1" + "}" * 5000,
    "not UTF-8": b"\xff\xfe".decode("latin-1"),
}


@pytest.mark.parametrize("way", POINTERS)
def test_a_pointer_that_is_none_is_refused(tmp_path, way):
    (tmp_path / "current.json").write_bytes(POINTERS[way].encode("latin-1"))
    with pytest.raises(StoreError, match=r"current.json cannot be read: .+") as caught:
        named_states(tmp_path)
    assert "--rerun" in caught.value.hint


def test_a_run_refuses_a_pointer_that_was_cut_and_loses_no_state(place, capsys):
    (place.checkpoint / "current.json").write_text(POINTERS["cut"])
    assert "current.json cannot be read" in " ".join(run(capsys, place.home, *place.data, code=4).err.split())
    assert place.checkpoint.joinpath("epoch0002-step000002").is_dir()
    assert losses_of(run(capsys, place.home, *place.data, "--rerun")) == place.losses


def test_a_state_of_an_earlier_version_is_gone_on_from_with_a_word(place, capsys):
    place.as_an_earlier_version_wrote_it()
    printed = run(capsys, place.home, *place.data)
    assert "has no checksums" in printed.err
    assert "going on after epoch 2, step 2" in printed.err
    assert losses_of(printed) == place.losses


def test_a_stop_in_the_last_step_of_an_epoch_is_a_position(place, capsys, monkeypatch):
    step = trainer.Trainer._train_step

    def stop_last(self, rows, epoch, number):
        if number == self.batches.steps - 1:
            signal.raise_signal(signal.SIGTERM)
        return step(self, rows, epoch, number)

    with monkeypatch.context() as patched:
        patched.setattr(trainer.Trainer, "_train_step", stop_last)
        run(capsys, place.home, *place.data, code=130)
    assert place.current.name == "epoch0002-step000003"
    assert losses_of(run(capsys, place.home, *place.data)) == place.losses


def test_a_state_is_on_the_disk_before_the_pointer_names_it(place, capsys, monkeypatch):
    """Files and folder are synced, then the pointer moves, then older states go."""
    order = []
    for name in ("sync_tree", "sync_folder", "write_pointer", "remove_others"):
        real = getattr(checkpoint, name)
        monkeypatch.setattr(
            checkpoint, name, lambda *given, name=name, real=real: (order.append(name), real(*given))[1]
        )
    run(capsys, place.home, *place.data)
    assert order == ["sync_tree", "sync_folder", "write_pointer", "remove_others"] * 2


def test_a_full_disk_keeps_the_states_that_are_there(place, capsys, monkeypatch):
    def full(folder):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(checkpoint, "sync_tree", full)
        said = run(capsys, place.home, *place.data, code=4).err
    assert "No space left" in said
    assert {path.name for path in place.checkpoint.iterdir()} == {
        "current.json",
        "epochs.json",
        "epoch0002-step000000",
        "epoch0002-step000002",
    }
    assert losses_of(run(capsys, place.home, *place.data)) == place.losses
