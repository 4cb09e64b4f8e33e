"""Processes of the GPU script: a part of it with a time limit, a run that is killed, and runs side by side."""

from __future__ import annotations

import multiprocessing
import os
import signal
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from bench.engine.listeners import Listener, Wish
from bench.engine.made_up import made_up_data
from bench.engine.trainer import Trainer

START_SECONDS = 120.0
"""Until a process has its model on the device, with all its imports."""

Facts = dict[str, Any]


def context() -> Any:
    """Processes that begin with what a server has imported and without a GPU, which a fork could not use."""
    found = multiprocessing.get_context("forkserver")
    found.set_forkserver_preload(["benchmarks.gpu_parts"])
    return found


def facts_within(seconds: float, body: Callable[..., Facts], *arguments: Any) -> Facts:
    """Run a part in a process of its own.

    Args:
        seconds: After these it is killed.
        body: What it does; a function of a module.
        *arguments: Its arguments.

    Returns:
        Its facts, or why there are none as ``failed``.
    """
    receive, send = multiprocessing.Pipe(duplex=False)
    process = context().Process(target=_tell, args=(send, body, *arguments))
    process.start()
    send.close()
    try:
        if not receive.poll(seconds):
            return {"failed": f"not done after {seconds:.0f} s"}
        found: Facts = receive.recv()
        return found
    except EOFError:
        process.join(5)
        return {"failed": f"the process ended with {process.exitcode}"}
    finally:
        process.kill()
        process.join()


def _tell(send: Connection, body: Callable[..., Facts], *arguments: Any) -> None:
    send.send(facts_or_failure(body, *arguments))


def facts_or_failure(body: Callable[..., Facts], *arguments: Any) -> Facts:
    """The facts of a part, or its error as ``failed``: one part that fails leaves the others."""
    try:
        return body(*arguments)
    except Exception as error:  # noqa: BLE001  # whatever it is, the other parts are to be done
        return {"failed": f"{type(error).__name__}: {error}", "where": traceback.format_exc(limit=-3)}


def use_one_thread(device: str) -> None:
    """Compute with one thread on a CPU: for tiny steps more of them only wait for one another."""
    if device == "cpu":
        torch.set_num_threads(1)


class Killing(Listener):
    """Kills its own process as a machine without memory does, at the second look of the second epoch."""

    def __init__(self) -> None:
        self.looks = 0

    def on_losses(self, epoch: int, step: int, losses: Sequence[Mapping[str, float]]) -> Wish:
        """Count the looks of the second epoch."""
        self.looks += epoch == 2
        if self.looks == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return Wish.GO_ON


class FirstLook(Listener):
    """Notes where a run begins or goes on: the epoch and the steps of the first look."""

    def __init__(self) -> None:
        self.place: tuple[int, int] | None = None

    def on_losses(self, epoch: int, step: int, losses: Sequence[Mapping[str, float]]) -> Wish:
        """Note the first look."""
        self.place = self.place or (epoch, step)
        return Wish.GO_ON


def run_to_its_death(spec: Any, rows: int, folder: Path) -> None:
    """Train until :class:`Killing` strikes."""
    use_one_thread(spec.distribution.device)
    Trainer(spec, made_up_data(spec, rows), folder, listeners=[Killing()]).fit()


def killed_run(spec: Any, rows: int, folder: Path) -> int | None:
    """Train a run in a process that is killed; its exit code is returned."""
    process = context().Process(target=run_to_its_death, args=(spec, rows, folder))
    process.start()
    process.join(START_SECONDS)
    code: int | None = process.exitcode
    process.kill()
    process.join()
    return code


def seconds_side_by_side(spec: Any, rows: int, steps: int, runs: int) -> list[float]:
    """Seconds of some steps in each of several processes that share the device and begin them together.

    Raises:
        RuntimeError: If a process ended before.
    """
    of_processes, pipes = context(), [multiprocessing.Pipe(duplex=False) for _ in range(runs)]
    start = of_processes.Barrier(runs)
    processes = [of_processes.Process(target=_timed_steps, args=(send, start, spec, rows, steps)) for _, send in pipes]
    try:
        for process in processes:
            process.start()
        for _, send in pipes:
            send.close()
        ready = [receive.poll(START_SECONDS) for receive, _ in pipes]
        if not all(ready):
            raise RuntimeError(f"a process had not taken {steps} steps after {START_SECONDS:.0f} s")
        return [receive.recv() for receive, _ in pipes]
    except EOFError as error:
        raise RuntimeError("a process ended before it had taken its steps") from error
    finally:
        for process in processes:
            process.kill()
            process.join()


def _timed_steps(send: Connection, start: Any, spec: Any, rows: int, steps: int) -> None:
    use_one_thread(spec.distribution.device)
    with tempfile.TemporaryDirectory() as folder:
        own = OwnSteps(spec, made_up_data(spec, rows), Path(folder))
        own.take(2)
        start.wait(START_SECONDS)
        began = time.perf_counter()
        own.take(steps)
        send.send(time.perf_counter() - began)


class OwnSteps:
    """The steps of a run as its trainer takes them: bank on the device, rows read ahead, compiled blocks and all.

    Args:
        spec: The spec of the run.
        data: Its rows.
        folder: Its folder; nothing is written to it.
    """

    def __init__(self, spec: Any, data: Any, folder: Path) -> None:
        self.trainer = Trainer(spec, data, folder)
        self.trainer._begin()
        self.trainer.stage.begin_epoch()
        self.order, self.step = self.trainer.batches.order(1), 0

    def take(self, steps: int = 1, *, wait: bool = True) -> None:
        """Take some steps.

        Args:
            steps: How many.
            wait: Whether to wait until the device has done them.
        """
        batches = self.trainer.batches
        for _ in range(steps):
            place = self.step % batches.steps
            batches.read_ahead(batches.rows_of_step(self.order, (place + 1) % batches.steps))
            self.trainer._train_step(batches.rows_of_step(self.order, place), 1, place)
            self.step += 1
        if wait and self.trainer.accelerator.device.type == "cuda":
            torch.cuda.synchronize()
