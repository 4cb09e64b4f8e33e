"""What `bench run`, `bench search` and `bench reproduce` are asked alike: options, and the request they become."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Option

from bench.cli.completion import completer
from bench.core.errors import SpecError

if TYPE_CHECKING:
    from bench.api.requests import Request

Pretrain = Annotated[
    str | None,
    Option(help="none, imagenet, imagenet+audioset, audioset, file, folder or URL (default: the model's)."),
]
InitFrom = Annotated[
    str | None,
    Option(
        "--init-from",
        help="Start from the weights of a finished run: id or folder, then :last, :best-test, :best-val or :stage-1.",
        metavar="RUN[:RULE]",
    ),
]
Epochs = Annotated[int | None, Option(help="Number of epochs (default: the recipe's).")]
Alpha = Annotated[float | None, Option(help="Weight of the contrastive loss, α.")]
Tau = Annotated[float | None, Option(help="Temperature, τ.")]
Beta = Annotated[float | None, Option(help="Parameter of the Beta distribution of λ, β.")]
ValFraction = Annotated[float | None, Option(help="Share of training cycles held out for best-val.")]
Deterministic = Annotated[
    bool | None,
    Option(
        "--deterministic/--no-deterministic",
        help="Use only operations that give the same bits each time on the same machine (default: no).",
    ),
]
Seed = Annotated[int | None, Option(help="Seed (default 1).")]
Seeds = Annotated[
    str | None, Option(help="Several seeds, one run each: 1-5 or 1,3,7; `bench ensemble` makes one system of them.")
]
Processes = Annotated[int | None, Option(help="Processes (GPUs) that share a run (default 1).")]
RunProcesses = Annotated[
    int | None, Option(help="Processes (GPUs) that share a run (default 1, or all that torchrun or srun started).")
]
Nodes = Annotated[
    int | None, Option(min=1, help="Machines on which srun, torchrun or mpirun started them; refused if it did not.")
]
Tracker = Annotated[
    list[str] | None,
    Option(
        "--tracker",
        help="tensorboard, wandb, mlflow, trackio or none; may be repeated (default: BENCH_TRACKER, or none).",
        metavar="NAME",
    ),
]
Rerun = Annotated[bool, Option(help="Run again although results exist.")]

Spec = Annotated[
    Path | None,
    Option(help="Replay the spec.json of a run, or run the composite system of a TOML file (docs/composites.md)."),
]
System = Annotated[
    str | None,
    Option(
        "--system",
        help="System id, in place of model and method; see `bench systems list`. What else is given goes over it.",
        metavar="ID",
        autocompletion=completer("published_systems"),
    ),
]

FIELDS = {
    "epochs": "epochs",
    "val_fraction": "val_fraction",
    "alpha": "method.alpha",
    "tau": "method.tau",
    "beta": "method.beta",
    "deterministic": "deterministic",
}
"""Options that are fields of a spec, and their names there."""

PASSED_ON = (
    *("data", "dataset", "task", "home", "cache", "pretrain", "init_from"),
    *("frontend", "profile", "allow_partial", "device", "precision"),
)
"""Options that a request knows by the same name."""


def request_of(given: Mapping[str, Any], example: str) -> Request:
    """Build the request of a command from its options.

    Args:
        given: The options by name, as ``typer.Context.params`` has them; a command need not have all.
        example: A command that names a model and a method, for those who name none.

    Raises:
        SpecError: If model or method is missing where no system is named, or a path cannot be one.
    """
    from bench.api.requests import build_request

    system = given.get("system")
    if system is None and (given["model"] is None or given["method"] is None):
        published = "; `bench systems list` names what --system takes in their place" if "system" in given else ""
        raise SpecError("Name a model and a method.", f"For example: {example}{published}")
    return build_request(given["model"], given["method"], system=system, **request_fields(given))


def request_fields(given: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a request, but for model and method, from the options of a command."""
    return {
        **{name: given[name] for name in PASSED_ON if name in given},
        "settings": given["settings"] or (),
        "fields": {
            **{field: given[name] for name, field in FIELDS.items() if name in given},
            "tracker": trackers_of(given),
        },
        "processes": 1 if given["processes"] is None else given["processes"],
        "plugins": given.get("plugin") or (),
    }


def trackers_of(given: Mapping[str, Any]) -> str | None:
    """The trackers that a command names, with commas between them; None where it names none."""
    return ",".join(given["tracker"]) if given.get("tracker") else None
