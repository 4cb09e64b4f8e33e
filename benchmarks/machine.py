"""The machine that benchmarks run on: how torch is set, and what a report says of it."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import Any

from bench.core.provenance import code_version, package_versions
from benchmarks.runner import Setting

BUSY = 0.5
"""Load of other programs, as a share of the cores, from which a report calls the machine busy."""


def prepare_torch(setting: Setting) -> None:
    """Set torch's threads as the setting says."""
    import torch

    torch.set_num_threads(setting.threads)


def machine_facts() -> dict[str, Any]:
    """Hardware, versions of the packages and of the code."""
    from bench.engine.hardware import hardware

    code = code_version()
    return {
        "hardware": hardware(),
        "packages": package_versions(),
        "code": {name: code[name] for name in ("version", "commit", "dirty")},
        "load": [round(one, 2) for one in os.getloadavg()],
    }


def setting_facts(setting: Setting) -> dict[str, Any]:
    """The setting as a report says it."""
    return {**asdict(setting), "clock": setting.clock_name}


def busy_note() -> str:
    """A sentence where other programs keep the machine busy, else nothing."""
    load, cores = os.getloadavg()[0], os.cpu_count() or 1
    if load < BUSY * cores:
        return ""
    return (
        f"Other programs kept the machine busy while this was measured (load {load:.1f} on {cores} cores): "
        "ratios hold, rates are below what a quiet machine gives."
    )
