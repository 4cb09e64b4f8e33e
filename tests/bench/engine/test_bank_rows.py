"""Rows of the bank from a copy on the device, and read ahead: the same bits as from the file. The device is the CPU."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch
from five_steps import run_data, spec_of
from step_cases import SMALL_AST, case

from bench.core.errors import MemoryRunError, RunError
from bench.data.row_file import RowFile, npy_header, row_checksum
from bench.engine import bank_rows
from bench.engine.bank_rows import ReadAheadRows, ResidentRows, bank_bytes, fits_beside_training, rows_on_device
from bench.engine.data import with_rows_on_device
from bench.engine.trainer import Trainer

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)
ROWS = np.array([5, 0, 33, 5])
WAYS = {"resident": lambda bank: ResidentRows(bank, CPU), "read ahead": lambda bank: ReadAheadRows(bank, CPU)}


@pytest.fixture
def file(tmp_path):
    """A bank in a file whose rows are checked, as runs have them: more rows than are copied at a time."""
    rows = np.random.default_rng(1).standard_normal((150, 4, 3)).astype(np.float32)
    path, description = tmp_path / "features.npy", tmp_path / "bank.json"
    path.write_bytes(npy_header(rows.shape) + rows.tobytes())
    description.write_text("{}")
    bank = RowFile(path, rows.shape, description)
    bank.checksums = np.array([row_checksum(row) for row in rows], dtype=np.uint32)
    return bank


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("announced", [True, False])
def test_rows_are_those_of_the_file_to_the_bit(file, way, announced):
    rows = WAYS[way]({"": file, "again": file})
    if announced:
        rows.read_ahead(ROWS)
    found = rows.take(ROWS)
    assert list(found) == ["", "again"]
    for tensor in found.values():
        assert torch.equal(tensor, torch.from_numpy(file[ROWS]))
        # In memory of their own: what augments them must not write into the bank.
        tensor.zero_()
    assert torch.equal(rows.take(ROWS)[""], torch.from_numpy(file[ROWS]))


@pytest.mark.parametrize("way", WAYS)
def test_a_row_that_was_damaged_is_told(file, way):
    with file._bytes.path.open("r+b") as stream:
        stream.seek(-4, 2)
        stream.write(b"????")
    with pytest.raises(RunError, match=r"is not what was written \(row 149\)"):
        WAYS[way]({"": file}).take(np.array([149]))


def test_rows_that_were_announced_are_read_once_and_before(file):
    read = []

    class Noting:
        shape = file.shape

        def __getitem__(self, rows):
            read.append(rows.tolist())
            return file[rows]

    rows = ReadAheadRows({"": Noting()}, CPU)
    for start in range(0, 40, 4):
        rows.read_ahead(np.arange(start, start + 4))
        rows.read_ahead(np.arange(start + 4, start + 8))
        rows.take(np.arange(start, start + 4))
    assert sorted(read)[:10] == [list(range(start, start + 4)) for start in range(0, 40, 4)]
    assert len(read) <= 11
    # Rows that nobody takes do not pile up.
    for start in range(20):
        rows.read_ahead(np.array([start]))
    assert len(rows._waiting) == bank_rows.READ_AHEAD


@pytest.mark.parametrize(
    ("wanted", "device", "free", "way"),
    [
        ("auto", CPU, 0, type(None)),
        ("no", CPU, 0, type(None)),
        ("yes", CPU, 0, ResidentRows),
        # A GPU is said to be there: nothing is copied to it.
        ("auto", GPU, 4 * 150 * 12 * 4, ResidentRows),
        ("auto", GPU, 4 * 150 * 12 * 4 - 1, ReadAheadRows),
        ("no", GPU, 10**12, ReadAheadRows),
        ("yes", GPU, 0, ResidentRows),
    ],
)
def test_one_place_decides_and_says_so(file, wanted, device, free, way, monkeypatch, caplog):
    monkeypatch.setattr(bank_rows, "_free_bytes", lambda gpu: free)
    monkeypatch.setattr(bank_rows, "_copied", lambda rows, device: rows)
    with caplog.at_level(logging.DEBUG, bank_rows.__name__):
        found = rows_on_device(file, wanted, device)
    assert type(found) is way
    assert len(caplog.messages) == (found is not None)


def test_the_bank_of_icbhi_goes_where_training_has_room():
    size = 6898 * 798 * 128 * 4
    assert bank_bytes({"": np.broadcast_to(np.float32(0), (6898, 798, 128))}) == size
    assert fits_beside_training(size, 24 << 30)
    assert not fits_beside_training(size, 8 << 30)


def test_no_rows_no_copy():
    assert rows_on_device(np.empty((0, 3), np.float32), "yes", CPU) is None


def test_a_bank_that_does_not_fit_is_told(file, monkeypatch):
    def full(*unused):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(bank_rows, "_copied", full)
    with pytest.raises(MemoryRunError) as caught:
        ResidentRows({"": file}, GPU)
    assert "bank_on_device=no" in caught.value.hint


def outcome(folder, way=None, **fields):
    """Losses, scores and parameters of a short run."""
    given = case("ast", SMALL_AST, "patchmix-cl")
    spec = spec_of({**given, "fields": {"time_shift": False, **fields}})
    data = run_data()
    trainer = Trainer(spec, data, folder)
    if way is not None:
        trainer.data = trainer.batches.data = trainer.data.__class__(
            **{**trainer.data.__dict__, "on_device": way({"": data.bank.features})}
        )
    epochs = trainer.fit().position.epochs
    return [entry["loss"] for entry in epochs], epochs[0]["test"], trainer.model.state_dict()


def test_a_run_is_the_same_to_the_bit(tmp_path):
    losses, scores, state = outcome(tmp_path / "plain")
    for name, other in (
        ("resident", outcome(tmp_path / "resident", bank_on_device="yes")),
        ("ahead", outcome(tmp_path / "ahead", WAYS["read ahead"])),
    ):
        assert (other[0], other[1]) == (losses, scores), name
        assert all(torch.equal(other[2][key], value) for key, value in state.items()), name


def test_what_a_run_is_given_stays_what_it_was():
    data = run_data()
    assert with_rows_on_device(data, "yes", CPU).on_device is not None
    assert data.on_device is None
