"""Trains five steps of a stage in one of several processes; keeps losses and parameters, to compare what a batch is.

:func:`train_in_groups` starts one, then two, then three processes; each trains every case of ``FOLDER/cases.json`` on
the same pretend features (on waveforms, where the case augments them), and the first of n writes
``FOLDER/n/NAME.safetensors``. A case that is refused in a group leaves ``FOLDER/n/NAME.txt`` instead, with the error. A
case's ``processes`` says in which groups it is trained: in all three, where it says nothing.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import json
import multiprocessing
import os
import tempfile
import time
import traceback
from collections.abc import Iterator
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

STEPS, BATCH, TEST = 5, 6, 6
SHAPE = (32, 24)
GROUPS = (1, 2, 3)
PRELOADED = ["bench.engine.trainer", "bench.engine.distributed", "baselines.ast.model"]
ROOT = Path(__file__).resolve().parents[2]


def spec_of(case: dict[str, Any]) -> Any:
    from bench.data.frontends import FRONTENDS
    from bench.experiment.spec import RunSpec

    fields = {"lr": 5e-5, "epochs": 1, "batch": BATCH, "specaug_time_width": 8, "specaug_freq_width": 6, "seed": 3}
    # Three batches of test rows, so that each of three processes evaluates one.
    fields["eval_batch"] = 2
    names = ("model", "model_options", "method", "method_options")
    if case.get("plugins"):
        from bench.experiment.plugins import load_plugins

        load_plugins(case["plugins"])
    frontend = case.get("frontend", "ast")
    return RunSpec.of(
        **{name: case[name] for name in names},
        **{**fields, **case.get("fields", {})},
        pretrain="none",
        frontend=frontend,
        frontend_version=FRONTENDS.card(frontend).version,
        frontend_options=case.get("frontend_options", {}),
        dataset="demo",
        data_fingerprint="0" * 64,
    )


class Waves:
    """A bank of made-up waveforms, each of a length of its own."""

    def __init__(self, rows: int, rng: Any) -> None:
        import torch

        lengths = rng.integers(4000, 12000, rows)
        self.waves = [torch.from_numpy(rng.standard_normal(n).astype("float32") / 10) for n in lengths]

    def units(self, rows: Any) -> Any:
        from bench.data.units import UnitWaves

        return UnitWaves.of([self.waves[row] for row in rows])


def with_waveforms(data: Any, spec: Any, rng: Any) -> Any:
    """The data with waveforms, and the pictures that the spec's front-end makes of them in place of those there."""
    import numpy as np

    from bench.engine.data import built_front_end, extremes_of

    rows, frontend = len(data.bank.labels), built_front_end(spec)
    waves = Waves(rows, rng)
    bank = dataclasses.replace(data.bank, features=frontend.picture(waves.units(np.arange(rows))).numpy())
    return dataclasses.replace(data, bank=bank, waves=waves, frontend=frontend, extremes=extremes_of(bank, frontend))


def run_data(spec: Any = None) -> Any:
    import numpy as np

    from bench.data.bank import FeatureBank
    from bench.data.dataset import Cycle, Recording
    from bench.data.datasets.icbhi.card import CARD as ICBHI
    from bench.engine.data import RunData

    rng = np.random.default_rng(0)
    rows = STEPS * BATCH + TEST
    labels = np.arange(rows) % 4
    features = (rng.standard_normal((rows, *SHAPE)) + labels[:, None, None] / 4).astype(np.float32)
    # Two patients, so that a method can hold one out; each has cycles of all classes.
    names = [("recording", "another")[row // 4 % 2] for row in range(rows)]
    cycles = tuple(Cycle(name, row, row, row + 1, int(labels[row])) for row, name in enumerate(names))
    bank = FeatureBank(features, cycles, labels, Path("features.npy"))
    train, test = np.arange(STEPS * BATCH), np.arange(STEPS * BATCH, rows)
    nowhere = Path("recording")
    recordings = {
        name: Recording(name, patient, "1b1", "Al", "sc", "Meditron", "train", nowhere, nowhere, cycles)
        for name, patient in (("recording", "101"), ("another", "102"))
    }
    data = RunData(
        bank=bank,
        train=train,
        val=train[:0],
        test=test,
        recordings=recordings,
        task=ICBHI.tasks[0],
        card=ICBHI,
    )
    return with_waveforms(data, spec, rng) if spec is not None and spec.augment.changes_waveforms else data


def train(folder: Path, processes: int) -> None:
    """Train every case; the process group, if there is one, has been joined."""
    import torch
    from safetensors.torch import save_file

    from bench.core.errors import BenchError
    from bench.engine.trainer import Trainer

    cases = json.loads((folder / "cases.json").read_text())
    for name, case in cases.items():
        if processes not in case.get("processes", GROUPS):
            continue
        spec = spec_of(case)
        trainer = Trainer(spec, run_data(spec), folder / f"{processes}" / f"run-{name}", processes)
        # Saving is tested elsewhere, and would take longer than the steps.
        trainer.checkpoint.save = lambda *_: None
        trainer._save_weights = lambda *_: None
        try:
            outcome = trainer.fit()
        except BenchError as error:
            if case.get("refused") and processes > 1:
                (folder / f"{processes}" / f"{name}.txt").write_text(f"{type(error).__name__}: {error.message}")
                continue
            raise
        if trainer.accelerator.is_main_process:
            state = {key: value.contiguous() for key, value in trainer.stage.bare.state_dict().items()}
            losses = [entry["loss"] for entry in outcome.position.epochs]
            named = [value for entry in outcome.position.epochs for value in entry.get("losses", {}).values()]
            state["losses"] = torch.tensor([*losses, *named], dtype=torch.float64)
            save_file(state, folder / f"{processes}" / f"{name}.safetensors")


def one_rank(rank: int, processes: int, store: str, folder: Path) -> None:
    """Be one process of a group; an error is left beside what the group writes."""
    try:
        _one_rank(rank, processes, store, folder)
    except BaseException:
        (folder / str(processes) / f"rank-{rank}.err").write_text(traceback.format_exc())
        raise


def _one_rank(rank: int, processes: int, store: str, folder: Path) -> None:
    import torch

    # What was imported stays: without it, looking for garbage takes longer than a case.
    gc.freeze()
    torch.set_num_threads(1)
    if processes == 1:
        train(folder, 1)
        return
    from bench.engine.distributed import STORE_VARIABLE, join_group, leave_group

    ranks = {"RANK": str(rank), "LOCAL_RANK": str(rank)}
    sizes = {"WORLD_SIZE": str(processes), "LOCAL_WORLD_SIZE": str(processes)}
    os.environ.update({**ranks, **sizes, "GLOO_SOCKET_IFNAME": "lo", STORE_VARIABLE: store})
    join_group("cpu")
    train(folder, processes)
    leave_group()


@contextlib.contextmanager
def _variables(**variables: str) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def fork_context() -> Any:
    """The context of this process's server, which imports everything once: each rank is a fork of it."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    with _variables(OMP_NUM_THREADS="1", PYTHONPATH=str(ROOT)):
        forkserver.ensure_running()
    return context


def train_in_groups(folder: Path, seconds: float = 350) -> None:
    """Train all cases of a folder in each group in which one is wanted.

    Raises:
        AssertionError: If a process fails, with its traceback, or takes too long.
    """
    cases = json.loads((folder / "cases.json").read_text())
    context, end = fork_context(), time.monotonic() + seconds
    for processes in GROUPS:
        if any(processes in case.get("processes", GROUPS) for case in cases.values()):
            (folder / str(processes)).mkdir()
            _train_in_group(context, folder, processes, end)


def _train_in_group(context: Any, folder: Path, processes: int, end: float) -> None:
    with tempfile.TemporaryDirectory() as meeting:
        words = [(rank, processes, f"{meeting}/store", folder) for rank in range(processes)]
        ranks = [context.Process(target=one_rank, args=word, daemon=True) for word in words]
        for rank in ranks:
            rank.start()
        for rank in ranks:
            rank.join(max(0.0, end - time.monotonic()))
        codes = [rank.exitcode for rank in ranks]
        for rank in ranks:
            rank.kill()
    errors = "".join(path.read_text() for path in sorted((folder / str(processes)).glob("*.err")))
    assert not any(code != 0 for code in codes), f"{processes} processes ended with {codes}\n{errors}"
