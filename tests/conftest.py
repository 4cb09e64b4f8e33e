"""Fixtures that every part of the suite shares: golden sets and real recordings, each from the folder that is named."""

from __future__ import annotations

import contextlib
import gc
import json
import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

if "PYTEST_XDIST_WORKER" in os.environ:
    # Before torch is imported: workers that each use all cores slow one another down.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.pop("COLUMNS", None)  # Tables are as wide as in a file, wherever the tests are run.
os.environ.pop("BENCH_STORE", None)  # No test may write to the board of whoever runs it.
os.environ["BENCH_CPU_PRECISION"] = "fp32"  # Not what a measurement of this machine would say, here and in children.

import numpy as np
import pytest
from official_sets import MADE_UP
from small_data import write_small_data

from bench.core.log import LEVEL_VARIABLE, PACKAGES
from bench.core.machine import usable_cores
from bench.data.datasets.icbhi.card import TASK

HERE = Path(__file__).resolve().parent


def pytest_xdist_auto_num_workers() -> int:
    """A worker more than there are cores: tests of process groups wait for one another for a third of their time."""
    return usable_cores() + 1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the slow tests, so that no worker is left alone with them at the end."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


def pytest_collection_finish() -> None:
    """Spare the search for garbage all modules and tests, which live to the end: Accelerate asks for it in each run."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="session")
def made_up_official_sets() -> None:
    """Take the made-up test cycles of tests for official, beside the real ones; boards of whole modules need it too."""
    # Cards are frozen for everybody but this.
    object.__setattr__(TASK, "judged_sets", TASK.judged_sets | MADE_UP)


@pytest.fixture(autouse=True)
def no_key_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Sign nothing with the key of whoever runs the tests."""
    monkeypatch.delenv("BENCH_KEY", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.getbasetemp() / "no-configuration"))


@pytest.fixture(autouse=True)
def no_width_of_another_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take tables for as wide as in a file, whatever a library has set of the terminal's width."""
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.fixture(autouse=True)
def log_of_its_own() -> Iterator[None]:
    """Leave nothing of what a test sets up of the log to the next one."""
    loggers = [logging.getLogger(package) for package in PACKAGES]
    before = [(list(logger.handlers), logger.level, logger.propagate) for logger in loggers]
    variable = os.environ.pop(LEVEL_VARIABLE, None)
    yield
    for logger, (handlers, level, propagate) in zip(loggers, before, strict=True):
        logger.handlers[:], logger.propagate = handlers, propagate
        logger.setLevel(level)
    os.environ.pop(LEVEL_VARIABLE, None)
    if variable is not None:
        os.environ[LEVEL_VARIABLE] = variable


@dataclass(frozen=True)
class GoldenSet:
    """Numbers of the authors' code in one folder, and the rules by which their inputs are generated."""

    folder: Path

    def json(self, name: str) -> Any:
        """The document ``name`` (``losses.json``); skips the test, with the reason, where the set leaves it out."""
        return json.loads(self._present(name).read_text(encoding="utf-8"))

    def arrays(self, name: str) -> Any:
        """The arrays ``name`` (``losses.npz``); skips the test, with the reason, where the set leaves it out."""
        return np.load(self._present(name))

    def _present(self, name: str) -> Path:
        path = self.folder / name
        if not path.is_file():
            pytest.skip(f"the golden set {self.folder} does not hold {name}")
        return path


@pytest.fixture(scope="session")
def golden() -> GoldenSet:
    """The golden set that ``BENCH_GOLDEN`` names (default ``tests/golden``)."""
    folder = Path(os.environ.get("BENCH_GOLDEN", HERE / "golden"))
    assert folder.is_dir(), f"BENCH_GOLDEN names {folder}, which is no folder"
    return GoldenSet(folder)


def _real_folder(variable: str) -> Path:
    value = os.environ.get(variable)
    if not value:
        pytest.skip(f"needs real recordings: {variable} names no folder")
    return Path(value)


@pytest.fixture(scope="session")
def icbhi_folder() -> Path:
    """Real recordings in the official layout."""
    return _real_folder("BENCH_TEST_ICBHI")


@pytest.fixture(scope="session")
def sprsound_folder() -> Path:
    """The whole of SPRSound 2022 in its owners' layout."""
    return _real_folder("BENCH_TEST_SPRSOUND")


@pytest.fixture(scope="session")
def small_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny simulated set; do not write into it."""
    return write_small_data(tmp_path_factory.mktemp("small") / "data")


@pytest.fixture(scope="session")
def small_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder that the tests of one session share."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def postgres_socket() -> Iterator[str]:
    """The socket of a PostgreSQL server of this session's own; skips, with the reason, where none can start."""
    import postgres

    with contextlib.ExitStack() as stack:
        try:
            socket = stack.enter_context(postgres.server())
        except RuntimeError as error:
            pytest.skip(f"no PostgreSQL server starts here: {error}")
        yield socket


@pytest.fixture
def postgres_url(postgres_socket: str) -> Iterator[str]:
    """The URL, password included, of an empty PostgreSQL database."""
    import postgres

    with postgres.database(postgres_socket) as url:
        yield url


@pytest.fixture(scope="session")
def slurm_cluster() -> Iterator[Any]:
    """A Slurm of two nodes of this session's own; skips, with the reason, where none can start."""
    import slurm_cluster as support

    lacking = support.missing()
    if lacking is not None:
        pytest.skip(lacking)
    with contextlib.ExitStack() as stack:
        try:
            cluster = stack.enter_context(support.running())
        except RuntimeError as error:
            pytest.skip(f"no Slurm starts here: {error}")
        yield cluster


@pytest.fixture
def slurm(slurm_cluster: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The session's Slurm, as the one of this process; nothing is left in its queue."""
    for name, value in slurm_cluster.environment.items():
        monkeypatch.setenv(name, value)
    yield slurm_cluster
    slurm_cluster.clear()


@pytest.fixture
def bench(capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Runs a command line in this process; gives what it printed, after checking the exit code."""
    from bench.cli import main

    def run(*words: object, code: int = 0) -> Any:
        with pytest.raises(SystemExit) as caught:
            main([str(word) for word in words])
        captured = capsys.readouterr()
        assert caught.value.code == code, captured.err
        assert "Traceback" not in captured.err
        return captured

    return run
