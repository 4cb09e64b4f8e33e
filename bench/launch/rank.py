"""One process of a run: builds the data and the trainer, trains, and (in the main process) writes the result.

:mod:`bench.launch.group` starts it several times for a run of several processes; a run of one process calls
:func:`execute` directly.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.core.errors import BenchError, MemoryRunError
from bench.data.bank import Progress
from bench.engine.hardware import reset_peak_memory
from bench.engine.hooks import Hooks, Watch
from bench.experiment.plugins import load_plugins_of, plugin_failure
from bench.experiment.spec import RunSpec, read_spec
from leaderboard.results.run_folder import RunFolder

if TYPE_CHECKING:
    from bench.launch.child_process import Parent

OUT_OF_MEMORY_HINT = "Use --set micro_batch=… or checkpointing=true, a smaller eval_batch or model, or fewer processes."


def execute(spec: RunSpec, folder: Path, on_progress: Progress | None = None, hooks: Hooks | None = None) -> None:
    """Train one spec in this process of its group; the main process writes the result.

    Args:
        spec: What to run.
        folder: The run's folder.
        on_progress: Called while features are made, with the recordings that are done and their total.
        hooks: What a search adds to the run.

    Raises:
        BenchError: As data, trainer and result do.
    """
    from bench.engine.data import open_run_data
    from bench.engine.distributed import join_group, leave_group
    from bench.engine.learnt_frontend import with_learnt_frontend
    from bench.engine.memory import is_out_of_memory, words_of_exhaustion
    from bench.engine.result import write_run_result
    from bench.engine.trainer import Trainer

    reset_peak_memory()
    load_plugins_of(spec)
    hooks = hooks or Hooks()
    _, processes = join_group(spec.distribution.device) if spec.distribution.processes > 1 else (0, 1)
    try:
        data = with_learnt_frontend((hooks.open_data or open_run_data)(spec, on_progress), spec, RunFolder(folder))
        trainer = Trainer(spec, data, folder, processes, hooks)
        outcome = trainer.fit()
        if trainer.accelerator.is_main_process:
            write_run_result(spec, data, outcome, folder, processes)
        leave_group()
    except Exception as error:
        if is_out_of_memory(error):
            raise MemoryRunError(words_of_exhaustion(error), OUT_OF_MEMORY_HINT) from error
        failure = None if isinstance(error, BenchError) else plugin_failure(error, spec.plugins)
        if failure is None:
            raise
        raise failure from error


def main(task: Mapping[str, Any], parent: Parent) -> None:
    """Be one rank of a group in this process, which was started for it.

    Args:
        task: ``folder`` of the run, ``rank``, and whether the group is ``watched``.
        parent: The process that started this one; it has the watcher.

    Raises:
        BenchError: As :func:`execute` does.
    """
    folder = Path(task["folder"])
    watch = _watch(task["rank"], parent) if task["watched"] else None
    execute(read_spec(RunFolder(folder).spec), folder, hooks=Hooks(watch))


def _watch(rank: int, parent: Parent) -> Watch:
    """The watcher as a rank sees it: the first one asks, the others hear of the answer from it."""

    def ask(scores: Mapping[int, float]) -> str | None:
        answer: str | None = parent.ask({"event": "epoch", "scores": scores})
        return answer

    return ask if rank == 0 else lambda scores: None
