"""What of the environment may reach a run: nothing that changes its numbers, and no process group but the run's own.

Schedulers, launchers, notebooks and shells leave variables behind that libraries read: Accelerate takes its settings
from them, PyTorch's launchers describe a group of processes in them, BLAS libraries lower the precision by them. A
run's id does not know of them, so they are kept out.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from bench.core.errors import SpecError

OWN = frozenset(
    {
        *("BENCH_HOME", "BENCH_CACHE", "BENCH_STORE", "BENCH_STUDIES", "BENCH_KEY", "BENCH_LOG", "BENCH_CORES"),
        *("BENCH_CPU_PRECISION", "BENCH_TRACKER"),
        # What processes of this program tell one another.
        *("BENCH_ADOPTED_GROUP", "BENCH_PROCESS_STORE"),
        *("BENCH_GOLDEN", "BENCH_GOLDEN_SYSTEMS"),  # of the tests
    }
)
"""This program's own variables, beside those of data sets (``BENCH_DATA…``, ``BENCH_…_URL``) and ``BENCH_TEST_…``."""

SETTINGS = frozenset(
    {
        # A lower precision of fp32 arithmetic than the one that the run asks for.
        "NVIDIA_TF32_OVERRIDE",
        "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE",
        "DNNL_DEFAULT_FPMATH_MODE",
        "ONEDNN_DEFAULT_FPMATH_MODE",
        # Other layers and other arithmetic than the models' own.
        "TIMM_FUSED_ATTN",
        "TIMM_USE_NAFLEX",
        "TIMM_USE_NAFLEXVIT",
        "TIMM_USE_SCIPY_INTERP",
    }
)
"""Variables that change what libraries compute; they read them once, most of them as they are imported."""

READERS = frozenset({"torch", "timm"})
"""The libraries that read them."""

GROUP = frozenset(
    {
        "RANK",
        "WORLD_SIZE",
        "LOCAL_RANK",
        "LOCAL_WORLD_SIZE",
        "GROUP_RANK",
        "GROUP_WORLD_SIZE",
        "ROLE_RANK",
        "ROLE_WORLD_SIZE",
        "NODE_RANK",
        "MASTER_ADDR",
        "MASTER_PORT",
        "FORK_LAUNCHED",
    }
)
"""Variables by which launchers describe a group of processes."""

LAUNCHERS = (
    "ACCELERATE_",
    "FSDP_",
    "MEGATRON_LM_",
    "PARALLELISM_CONFIG_",
    "TORCHELASTIC_",
    "OMPI_",
    "PMI_",
    "PMIX_",
    "MV2_",
)
"""Beginnings of the names of the launchers' other variables."""


def keep_settings_out() -> None:
    """Forget the variables that change what libraries compute; call it before torch and timm are imported."""
    for name in SETTINGS & os.environ.keys():
        del os.environ[name]


def refuse_late_settings() -> None:
    """Refuse to go on where a library may have read such a variable before this program could forget it.

    A command forgets them first of all; in a notebook or a script, torch may have been imported
    before.

    Raises:
        SpecError: If a variable is set, and torch or timm is imported.
    """
    found = sorted(SETTINGS & os.environ.keys())
    if found and not READERS.isdisjoint(sys.modules):
        raise SpecError(
            f"{', '.join(found)} is set, which changes what torch or timm computes, and one of them is imported.",
            f"Start Python without it (unset {' '.join(found)}), so that the numbers are those of other machines.",
        )


def outside_groups(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process that is started for something else than the group that this process is in.

    Otherwise it would take itself for a rank of it. What Slurm says of a job goes too: limits of memory and cores that
    are not those of the other process.

    Args:
        environment: That of this process.
    """
    is_of_slurm = {"SLURM_JOB_ID", "SLURM_STEP_ID"} & environment.keys()
    launchers = ("SLURM_", *LAUNCHERS) if is_of_slurm else LAUNCHERS
    return {
        name: value
        for name, value in environment.items()
        if name == "SLURM_CONF" or (name not in GROUP and not name.startswith(launchers))
    }


def keep_launchers_out(group: Mapping[str, int | str] | None = None) -> None:
    """Forget what launchers say, so that Accelerate, which reads it, knows of nothing but the run's own group.

    Args:
        group: The group of this run as torch's launchers describe one (``RANK``, ``WORLD_SIZE``, …), if it has one.
    """
    for name in list(os.environ):
        if name in GROUP or name.startswith(LAUNCHERS):
            del os.environ[name]
    os.environ.update({name: str(value) for name, value in (group or {}).items()})
