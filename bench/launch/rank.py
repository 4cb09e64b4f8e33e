"""One process of a run: builds the data and the trainer, trains, and (in the main process) writes the result.

``python -m bench.launch.rank RUN_FOLDER`` is what the launcher starts several times; a run of one process calls
:func:`execute` directly.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from bench.core.errors import BenchError, RunError, StoreError
from bench.core.files import write_json
from bench.core.streams import prepare_helper_streams, print_traceback
from bench.data.bank import Progress
from bench.engine.hardware import reset_peak_memory
from bench.engine.hooks import Hooks, watch_of_rank
from bench.experiment.plugins import load_plugins_of, plugin_failure
from bench.experiment.spec import SPEC_FILE, RunSpec, read_spec

OUT_OF_MEMORY_HINT = "Use a smaller --set batch=… or eval_batch, fewer processes, or a smaller model."


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
    import torch

    from bench.engine.data import open_run_data
    from bench.engine.distributed import join_group, leave_group
    from bench.engine.result import write_run_result
    from bench.engine.trainer import Trainer

    reset_peak_memory()
    load_plugins_of(spec)
    hooks = hooks or Hooks()
    _, processes = join_group(spec.device) if spec.processes > 1 else (0, 1)
    try:
        data = (hooks.open_data or open_run_data)(spec, on_progress)
        trainer = Trainer(spec, data, folder, processes, hooks)
        outcome = trainer.fit()
        if trainer.accelerator.is_main_process:
            write_run_result(spec, data, outcome, folder, processes)
        leave_group()
    except torch.OutOfMemoryError as error:
        raise RunError(f"The device ran out of memory: {str(error).splitlines()[0]}", OUT_OF_MEMORY_HINT) from error
    except MemoryError as error:
        raise RunError("The machine ran out of memory.", OUT_OF_MEMORY_HINT) from error
    except Exception as error:
        failure = None if isinstance(error, BenchError) else plugin_failure(error, spec.plugins)
        if failure is None:
            raise
        raise failure from error


def error_file(folder: Path, rank: int) -> Path:
    """Where a process of a group leaves the error that ended it."""
    return folder / f"error-{rank}.json"


def main() -> None:
    """Run one rank of a group and report an error through a file: exit codes of a group cannot be trusted."""
    from bench.core.lifetimes import die_with_parent

    die_with_parent()
    prepare_helper_streams()
    folder, rank = Path(sys.argv[1]), int(os.environ["RANK"])
    code = 0
    try:
        execute(read_spec(folder / SPEC_FILE), folder, hooks=Hooks(watch_of_rank(rank)))
    except BenchError as error:
        code = error.exit_code
        _report(folder, rank, error)
    except Exception as error:  # noqa: BLE001 - a process border: whatever it is, the launcher must hear of it
        code = 1
        print_traceback(error)
        _report(folder, rank, RunError(f"{type(error).__name__}: {error}"))
    sys.stdout.flush()
    sys.stderr.flush()
    # Destructors of the process group may abort a process that has done its work; there is nothing left to tidy up.
    os._exit(code)


def _report(folder: Path, rank: int, error: BenchError) -> None:
    document = {"type": type(error).__name__, "message": error.message, "hint": error.hint}
    try:
        write_json(error_file(folder, rank), {**document, "exit_code": error.exit_code})
    except StoreError:
        # The disk is full: the common stderr is what is left to say it on.
        print_traceback(error)


def read_error(path: Path) -> BenchError:
    """Read what :func:`main` left behind."""
    import bench.core.errors

    document = json.loads(path.read_text(encoding="utf-8"))
    kind = getattr(bench.core.errors, document["type"], RunError)
    error: BenchError = kind(document["message"], document["hint"])
    return error


if __name__ == "__main__":
    main()
