"""Options that many commands have alike: where things are, and how results are printed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Option

Home = Annotated[Path | None, Option(help="Results folder (default: BENCH_HOME or ./results).")]
Cache = Annotated[Path | None, Option(help="Cache folder (default: BENCH_CACHE or the user's).")]
Data = Annotated[str | None, Option(help="Folder of the ICBHI data, or `demo` (default: BENCH_DATA or ./data/icbhi).")]
Format = Annotated[str, Option("--format", help="table or json.")]
Plugins = Annotated[
    list[Path] | None,
    Option("--plugin", metavar="FILE.py", help="A file with models, methods or front-ends; may be repeated."),
]
