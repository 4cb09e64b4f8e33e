"""The options and arguments of all commands: each is declared here once, with its help and what completes it.

A command declares ``data: Data = None``; its default stands with the command, since commands differ in that alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.cli.completion import completer
from bench.core.text import LARGEST_WHOLE

LARGEST_EPOCH = 2**31 - 1
"""As the board holds them (``leaderboard.metrics.LARGEST_COUNT``, which would bring NumPy with it)."""

LARGEST_ENSEMBLE = 10_000
"""As ``leaderboard.results.inputs`` has it."""

_models, _methods, _frontends = completer("models"), completer("methods"), completer("frontends")
_datasets, _tasks = completer("datasets"), completer("tasks", "dataset")
_runs, _systems, _studies = completer("runs"), completer("systems"), completer("studies")

# --- folders ----------------------------------------------------------------------------------------------------

Home = Annotated[
    Path | None,
    typer.Option("--home", help="Results folder (default: BENCH_HOME or ./results).", metavar="DIR"),
]
Cache = Annotated[
    Path | None,
    typer.Option("--cache", help="Cache folder (default: BENCH_CACHE or the user's).", metavar="DIR"),
]
Data = Annotated[
    str | None,
    typer.Option(
        "--data",
        help="Folder of the data, or `demo` (default: BENCH_DATA, or the data set's own: `bench data show ID`).",
        metavar="DIR",
    ),
]
DataFolder = Annotated[
    Path | None,
    typer.Option(
        "--data",
        help="Folder of the data (default: BENCH_DATA, or the data set's own: `bench data show ID`).",
        metavar="DIR",
    ),
]
TestData = Annotated[
    str | None,
    typer.Option(
        "--data",
        help="Folder with the annotation files, or `demo` (default: BENCH_DATA, or the data set's own).",
        metavar="DIR",
    ),
]
Dataset = Annotated[
    str | None,
    typer.Option(
        "--dataset",
        help="Data set id; see `bench data list` (default: the one that the folder holds).",
        metavar="ID",
        autocompletion=_datasets,
    ),
]
Task = Annotated[
    str | None,
    typer.Option(
        "--task",
        help="Task of the data set; see `bench data show ID` (default: its first).",
        metavar="ID",
        autocompletion=_tasks,
    ),
]
MockDataset = Annotated[
    str | None,
    typer.Option(
        "--dataset",
        help="Data set whose task the tiny data have; see `bench data list` (default: four classes).",
        metavar="ID",
        autocompletion=_datasets,
    ),
]
ReportedDataset = Annotated[
    str | None,
    typer.Option(
        "--dataset",
        help="Of the leaderboard, the sections of this data set (default: all).",
        metavar="ID",
        autocompletion=_datasets,
    ),
]
ReportedTask = Annotated[
    str | None,
    typer.Option("--task", help="The sections of this task (default: all).", metavar="ID", autocompletion=_tasks),
]
Part = Annotated[
    str | None,
    typer.Option("--part", help="The tested part; see `bench data show ID` (default: the main one).", metavar="PART"),
]
DatasetId = Annotated[str, typer.Argument(metavar="ID", help="A data set's id.", autocompletion=_datasets)]
AllowPartial = Annotated[
    bool,
    typer.Option("--allow-partial/--no-allow-partial", help="Take the recordings that are there; marked as partial."),
]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        help="Write to this file instead of the terminal (- is the terminal); of the board as html: a folder.",
        metavar="PATH",
    ),
]
FeatureFile = Annotated[Path, typer.Option("--out", help="The .npz file to write.", metavar="FILE")]

# --- what is printed --------------------------------------------------------------------------------------------

Format = Annotated[str, typer.Option("--format", help="table or json.", metavar="FORMAT")]
TableFormat = Annotated[
    str, typer.Option("--format", help="table, markdown, latex, csv, json or html.", metavar="FORMAT")
]
ReportFormat = Annotated[
    str,
    typer.Option(
        "--format",
        help="table, markdown, latex, csv, json or html; of figure2 table, svg, pdf, png, html, csv or json.",
        metavar="FORMAT",
    ),
]
Protocol = Annotated[
    str,
    typer.Option("--protocol", help="Selection rule of the numbers: last, best-test or best-val.", metavar="RULE"),
]
ReportProtocol = Annotated[
    str | None,
    typer.Option(
        "--protocol",
        help="Selection rule of the numbers: last, best-test or best-val (default: last; best-test, the paper's, for "
        "its tables).",
        metavar="RULE",
    ),
]
Private = Annotated[bool, typer.Option("--private", help="Make the repository for its owners alone.")]
CommitMessage = Annotated[str | None, typer.Option("--message", help="Message of the commit.", metavar="TEXT")]
DryRun = Annotated[bool, typer.Option("--dry-run/--no-dry-run", help="Print what would be run, and stop.")]

# --- models, methods, front-ends --------------------------------------------------------------------------------

Plugins = Annotated[
    list[Path] | None,
    typer.Option(
        "--plugin",
        help="A file with models, methods, front-ends, data sets or systems; may be repeated.",
        metavar="FILE.py",
    ),
]
Model = Annotated[
    str | None,
    typer.Option("--model", help="Model id; see `bench models list`.", metavar="ID", autocompletion=_models),
]
Method = Annotated[
    str | None,
    typer.Option("--method", help="Method id; see `bench methods list`.", metavar="ID", autocompletion=_methods),
]
FrontEnd = Annotated[
    str | None,
    typer.Option(
        "--frontend",
        help="Front-end id; see `bench frontends list` (default: the model's own).",
        metavar="ID",
        autocompletion=_frontends,
    ),
]
ModelId = Annotated[str, typer.Argument(metavar="ID", help="A model's id.", autocompletion=_models)]
MethodId = Annotated[str, typer.Argument(metavar="ID", help="A method's id.", autocompletion=_methods)]
ModelIds = Annotated[
    list[str] | None,
    typer.Argument(metavar="[ID]...", help="Models; all of the list if none.", autocompletion=_models),
]
ShownFrontEnd = Annotated[str, typer.Argument(metavar="ID", help="A front-end's id.", autocompletion=_frontends)]
FrontEndId = Annotated[str, typer.Option("--frontend", help="Front-end id.", metavar="ID", autocompletion=_frontends)]
PreparedFrontEnd = Annotated[
    str | None,
    typer.Option("--frontend", help="Front-end id (default: ast).", metavar="ID", autocompletion=_frontends),
]
FrontEndSettings = Annotated[
    list[str] | None,
    typer.Option("--set", help="frontend.KEY=VALUE: an option of the front-end; may be repeated.", metavar="KEY=VALUE"),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="key=value: any field of the spec or option, as `bench settings` lists them; may be repeated.",
        metavar="KEY=VALUE",
    ),
]

# --- how a run is done ------------------------------------------------------------------------------------------

Device = Annotated[str, typer.Option("--device", help="auto, cpu or cuda.", metavar="DEVICE")]
Profile = Annotated[str, typer.Option("--profile", help="auto, paper or demo.", metavar="PROFILE")]
Precision = Annotated[
    str,
    typer.Option(
        "--precision",
        help="auto, fp32, bf16 or fp16; auto: what this GPU has, and on a CPU bf16 where it measures faster.",
        metavar="PRECISION",
    ),
]

# --- runs, systems, studies -------------------------------------------------------------------------------------

Run = Annotated[str, typer.Argument(metavar="RUN", help="A run's id, or the beginning of it.", autocompletion=_runs)]
TrainedRun = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help="A run's id, the beginning of it, its folder, or hf:OWNER/NAME for one on the Hub.",
        autocompletion=_runs,
    ),
]
Runs = Annotated[
    list[str] | None,
    typer.Argument(metavar="[RUN]...", help="Ids of runs; all by default.", autocompletion=_runs),
]
Compared = Annotated[
    str,
    typer.Argument(
        metavar="A",
        help="A run's id, its beginning, model/method, or a submission's name.",
        autocompletion=completer("runs_and_systems"),
    ),
]
ComparedWith = Annotated[
    str,
    typer.Argument(metavar="B", help="What to compare it with.", autocompletion=completer("runs_and_systems")),
]
System = Annotated[
    str,
    typer.Option("--system", help="The system's name on the board.", metavar="NAME", autocompletion=_systems),
]
OldName = Annotated[str, typer.Argument(metavar="OLD", help="The name of a submitted system.", autocompletion=_systems)]
Study = Annotated[
    str,
    typer.Argument(metavar="NAME", help="The study's name; see `bench search list`.", autocompletion=_studies),
]
Studies = Annotated[
    list[str] | None,
    typer.Option(
        "--study",
        help="Study of figure2; may be repeated (default: figure2's own, or the only one).",
        metavar="NAME",
        autocompletion=_studies,
    ),
]
Storage = Annotated[
    str | None,
    typer.Option(
        "--storage",
        help="Where studies are kept: postgresql://… or a journal file on a shared disk (default: "
        "HOME/studies/NAME.journal).",
        envvar="BENCH_STUDIES",
        show_envvar=True,
        metavar="PLACE",
    ),
]
Reason = Annotated[str, typer.Option("--reason", help="Why; it stays in the log.", metavar="TEXT")]

# --- what is stated of a submitted system -----------------------------------------------------------------------

Selection = Annotated[
    str,
    typer.Option("--selection", help="How the epoch was chosen: last, best-test or best-val.", metavar="RULE"),
]
StatedSeed = Annotated[
    int,
    typer.Option("--seed", help="Seed of the training; seeds of one system make one row.", min=0, max=LARGEST_WHOLE),
]
StatedEpoch = Annotated[
    int | None, typer.Option("--epoch", help="The epoch, from 1, where it is known.", min=1, max=LARGEST_EPOCH)
]
Architecture = Annotated[str | None, typer.Option("--model", help="Architecture.", metavar="TEXT")]
TrainingMethod = Annotated[str | None, typer.Option("--method", help="Training method.", metavar="TEXT")]
Pretraining = Annotated[str | None, typer.Option("--pretrain", help="Pretraining.", metavar="TEXT")]
Paper = Annotated[str | None, typer.Option("--paper", help="Citation.", metavar="TEXT")]
Address = Annotated[str | None, typer.Option("--url", help="Where to read on.", metavar="URL")]
Notes = Annotated[str | None, typer.Option("--notes", help="Anything else.", metavar="TEXT")]
Metadata = Annotated[
    bool | None,
    typer.Option("--metadata/--no-metadata", help="Inputs are more than sound: patient, device, place, diagnosis."),
]
Ensemble = Annotated[
    int | None,
    typer.Option("--ensemble", help="How many models are averaged.", min=1, max=LARGEST_ENSEMBLE),
]
TestTimeAugmentation = Annotated[
    bool | None, typer.Option("--tta/--no-tta", help="Augmented copies of a test cycle are averaged.")
]
Thresholds = Annotated[
    str | None,
    typer.Option(
        "--thresholds",
        help="What thresholds or class biases were tuned on: none, training, held-out or test.",
        metavar="WORD",
    ),
]
PretrainedOnIcbhi = Annotated[
    bool | None,
    typer.Option("--pretrained-on-icbhi/--not-pretrained-on-icbhi", help="The pretraining's data hold ICBHI."),
]
