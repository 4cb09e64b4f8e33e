"""Every block of code on the site and in the README: read by a real shell, parsed by the real commands, cheap ones run.

What is done with a command of ``bench`` follows from its path alone, and stands in one of three lists: it is run
(:data:`RUN`), run dry (:data:`DRY`), or parsed (:data:`PARSED`, each with the reason). What is in none of them fails.
"""

from __future__ import annotations

import json
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import optuna
import pytest
import typer
from cli_contract import commands_of
from cli_runs import bench_here, environment
from optuna.storages.journal import JournalFileBackend, JournalStorage
from page_blocks import Block, all_blocks, bench_words, blocks_of, command_lines, pages, written_files
from plugin_files import fresh_registries
from site_pages.commands import command_pages
from small_runs import SETTINGS

import bench
from bench.core.datasets import DATASETS
from bench.experiment.registries import SYSTEMS, registries

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

LANGUAGES = frozenset({"sh", "python", "toml", "json", "yaml", "csv", "text"})

OTHER_PROGRAMS = {
    "accelerate": "starts several processes",
    "apptainer": "needs Apptainer",
    "dask": "a cluster, in test_dask_page.py",
    "docker": "needs Docker; test_containers.py holds the recipes",
    "kubectl": "needs a cluster; test_containers.py holds the files",
    "mkdocs": "builds this site, in test_site.py",
    "mpirun": "needs MPI",
    "mypy": "a step of CI",
    "optuna-dashboard": "a program of its own",
    "pip": "installs; the extras that it names are looked up here",
    "pytest": "runs these tests",
    "ruff": "a step of CI",
    "srun": "needs Slurm, in tests/bench/launch",
    "torchrun": "starts several processes, in tests/bench/launch",
    "python": "scripts of a checkout, looked up here",
}
"""Programs beside ``bench`` that pages call, and what becomes of these calls."""

SHELL_HELPERS = ("id",)

RUN = {
    "bench audit": {0, 1, 3},
    "bench board compare": {0},
    "bench board export": {0},
    "bench board import": {0},
    "bench board key": {0},
    "bench board list": {0},
    "bench board log": {0},
    "bench board show": {0},
    "bench board submit": {0},
    "bench data list": {0},
    "bench data show": {0},
    "bench frontends list": {0},
    "bench frontends show": {0},
    "bench matrix list": {0},
    "bench methods list": {0},
    "bench methods show": {0},
    "bench models list": {0},
    "bench models show": {0},
    "bench report": {0},
    "bench search list": {0},
    "bench settings": {0},
    "bench systems list": {0},
    "bench systems show": {0},
}
"""Commands that are run in a scratch folder with two small runs, and the exit codes that they may have there."""

DRY = frozenset({"bench run", "bench search", "bench matrix run", "bench reproduce"})
"""Commands that are run with ``--dry-run`` on the small set, unless they ask for what is not here."""

PARSED = {
    "bench": "options of the program",
    "bench board confirm": "needs its author's key; tests/bench/cli/test_history.py",
    "bench board check": "on the page of its own, by the test of that page",
    "bench board pull": "needs the Hub",
    "bench board push": "needs the Hub",
    "bench board rebuild": "tests/bench/cli/test_board.py",
    "bench board rename": "tests/bench/cli/test_history.py",
    "bench board rerun": "trains; tests/bench/cli/test_history.py",
    "bench board retract": "tests/bench/cli/test_history.py",
    "bench board review": "tests/bench/cli/test_history.py",
    "bench board snapshot": "tests/bench/cli/test_snapshot.py",
    "bench board upgrade": "needs an older board",
    "bench data demo": "writes a whole set; tests/bench/cli/test_data.py",
    "bench data features": "tests/bench/cli/test_data.py",
    "bench data fetch": "needs a network",
    "bench data info": "tests/bench/cli/test_data_sets.py",
    "bench data prepare": "tests/bench/cli/test_data.py",
    "bench data verify": "needs the real data; tests/bench/cli/test_data.py",
    "bench doctor": "tests/bench/cli/test_contract.py",
    "bench ensemble": "tests/bench/test_composites_page.py",
    "bench export": "on the page of its own, by the test of that page",
    "bench evaluate": "tests/bench/cli/test_evaluate.py",
    "bench matrix cancel": "tests/bench/test_matrices_page.py",
    "bench matrix status": "tests/bench/test_matrices_page.py",
    "bench mock-run": "half a minute each; tests/bench/test_docs.py",
    "bench models bench": "measures for minutes",
    "bench predict": "on the page of its own, by the test of that page",
    "bench push": "needs the Hub",
    "bench search best": "needs a study; tests/bench/search",
    "bench search cancel": "needs a study; tests/bench/search",
    "bench search delete": "needs a study; tests/bench/search",
    "bench search resume": "needs a study; tests/bench/search",
    "bench search show": "needs a study; tests/bench/search",
    "bench watch": "waits for a terminal",
}
"""Commands whose words are checked by the real parser and no further, and why."""

PYTHON_ELSEWHERE = {
    "docs/composites.md": "tests/bench/test_composites_page.py",
    "docs/dask.md": "tests/bench/test_dask_page.py",
    "docs/datasets.md": "tests/bench/test_dataset_page.py",
    "docs/extending.md": "tests/bench/test_docs.py",
    "docs/python.md": "tests/bench/api/test_page.py",
    "docs/systems.md": "tests/bench/test_systems_page.py",
    "docs/training.md": "tests/bench/test_training_page.py",
}
"""Pages whose Python is run by a test of their own."""


class Scratch(NamedTuple):
    """A folder with two runs, the environment of commands in it, ids of the runs, and commands that were run."""

    folder: Path
    env: dict[str, str]
    ids: list[str]
    done: set[tuple[str, ...]]


METHODS = ("patchmix-cl", "ce")
"""Of the two runs in the scratch folder."""

KNOWN = {**registries(), "system": SYSTEMS}
IDS = tuple(KNOWN)
FREE_NAMES = frozenset({"bench board submit"})
"""Commands whose ``--model`` and ``--method`` are free text."""

AN_ID, ANOTHER_ID = re.compile(r"^[0-9a-f]{4}$"), ("91c4", "b07e")


@pytest.fixture(scope="module")
def calls(tmp_path_factory) -> dict[str, list[list[str]]]:
    """The words of every call on each page, as bash reads them."""
    blocks = [block for block in all_blocks() if block.language == "sh"]
    programs = ("bench", *OTHER_PROGRAMS, *SHELL_HELPERS)
    found = command_lines([block.text for block in blocks], programs, tmp_path_factory.mktemp("shell"))
    by_page: dict[str, list[list[str]]] = {}
    for block, lines in zip(blocks, found, strict=True):
        assert lines, f"{block.page}, block {block.number} calls nothing"
        by_page.setdefault(block.page, []).extend(line for line in lines if line[0] not in SHELL_HELPERS)
    return by_page


@pytest.fixture(scope="module")
def parser():
    """The real commands, which note how they are called and do nothing."""
    from bench.cli import app

    noted = []
    program = typer.main.get_command(app)
    for path, command in commands_of("bench", program):
        command.callback = lambda path=path, **values: noted.append((path, values))

    def parse(words):
        noted.clear()
        with program.make_context("bench", list(words)) as context:
            program.invoke(context)
        return noted[-1]

    return parse


@pytest.fixture(scope="module")
def scratch(tmp_path_factory, small_data, small_cache):
    """A folder with two small runs on its board, and what pages say is there."""
    folder = tmp_path_factory.mktemp("reader")
    home = folder / "results"
    places = {"data": small_data, "cache": small_cache, "home": home}
    runs = [bench.run("ast", method, epochs=1, settings=SETTINGS, device="cpu", **places) for method in METHODS]
    (folder / "predictions.csv").write_bytes(_predictions(runs[0]).read_bytes())
    (folder / "results.csv").write_text("system,sp,se,score\nours,80.0,40.0,60.0\n")
    env = environment(home, small_cache, BENCH_KEY=str(folder / "key.pem"))
    bench_here("board", "key", env=env)
    bench_here("board", "export", str(folder / "ward-3.zip"), env=env)
    (folder / "ward-7.zip").write_bytes((folder / "ward-3.zip").read_bytes())
    (matrix,) = (block.text for block in all_blocks() if block.page == "docs/matrices.md" and block.file)
    (folder / "cnns.toml").write_text(matrix)
    (home / "studies").mkdir()
    optuna.create_study(study_name="NAME", storage=_journal(home / "studies" / "NAME.journal"))
    return Scratch(folder, env, [run.id for run in runs], set())


def _journal(path: Path) -> JournalStorage:
    return JournalStorage(JournalFileBackend(str(path)))


def _predictions(run) -> Path:
    (found,) = Path(run.folder).glob("predictions*last*.csv")
    return found


def commands(calls) -> Iterator[list[str]]:
    """The words behind ``bench`` in each call that starts it."""
    for words in calls:
        found = bench_words(words)
        if found is not None:
            yield found


def test_every_block_has_a_language_that_is_looked_at_here():
    wrong = [(block.page, block.number, block.language) for block in all_blocks() if block.language not in LANGUAGES]
    assert not wrong


def test_fences_are_even_so_that_no_block_is_overlooked():
    for page, text in pages().items():
        fences = [line for line in text.splitlines() if line.lstrip().startswith("```")]
        assert len(fences) == 2 * sum(block.page == page for block in all_blocks()), page


def test_programs_of_others_are_all_called_somewhere(calls):
    used = {words[0] for lines in calls.values() for words in lines}
    assert used - {"bench"} == set(OTHER_PROGRAMS)


@pytest.mark.parametrize("page", pages())
def test_every_command_is_taken_by_the_real_parser(page, calls, parser, monkeypatch):
    for words in commands(calls.get(page, ())):
        try:
            path, values = parser([word for word in words if word not in ("-v", "-q", "-qq", "--debug")])
        except typer.Exit:  # --version
            continue
        except Exception as error:  # noqa: BLE001 - whatever it is, the page is named
            pytest.fail(f"{page}: bench {' '.join(words)}: {error}")
        assert sum([path in RUN, path in DRY, path in PARSED]) == 1, f"{path} is in none or several of the lists"
        if path not in FREE_NAMES:
            assert_ids_exist(page, values)


def assert_ids_exist(page, values):
    own = {found for block in all_blocks() if block.page == page for found in re.findall(r'id="([^"]+)"', block.text)}
    for option in IDS:
        name = values.get(option)
        if name and ":" not in name and name not in own:
            assert name in KNOWN[option], f"{page}: {option} {name}"
    dataset = values.get("dataset")
    assert not dataset or dataset in own or dataset in DATASETS, f"{page}: data set {dataset}"


def test_what_is_run_exists_and_is_on_a_page(calls, parser):
    found = {parser(words)[0] for lines in calls.values() for words in commands(lines) if "--version" not in words}
    assert set(RUN) | set(DRY) <= found


def test_examples_of_the_help_are_taken_by_the_real_parser(parser, tmp_path):
    """The pages of commands are made from the help: their blocks are its examples."""
    texts = [
        block.text
        for path, text in command_pages().items()
        for block in blocks_of(path, text)
        if block.language == "sh"
    ]
    assert len(texts) > 15
    for lines in command_lines(texts, ["bench", *OTHER_PROGRAMS], tmp_path):
        for words in commands(lines):
            parser(words)


@pytest.mark.parametrize("page", pages())
def test_lists_cards_reports_and_changes_of_a_board_are_run(page, calls, parser, scratch, small_data, monkeypatch):
    for words, path in commands_in(page, calls, parser, scratch, monkeypatch):
        if path in RUN and is_here(words):
            run_once(here(words, scratch.ids, small_data), scratch, RUN[path])


def commands_in(page, calls, parser, scratch, monkeypatch):
    """The commands of a page with their paths; the page's files are in the current folder."""
    monkeypatch.chdir(scratch.folder)
    written_files(page, scratch.folder)
    lines = [words for words in commands(calls.get(page, ())) if "--version" not in words]
    return [(words, parser(words)[0]) for words in lines]


def run_once(words, scratch, codes):
    """Run a command, unless another page had the same; its exit code must be one of some."""
    if tuple(words) in scratch.done:
        return
    if "--plugin" in words:
        with fresh_registries():
            run_one_of(codes, words, scratch.env)
    else:
        scratch.done.add(tuple(words))
        run_one_of(codes, words, scratch.env)


def is_here(words) -> bool:
    """Whether what a command asks for is in the scratch folder."""
    missing = (
        "sprsound",
        "icbhi",
        "figure2",
        "transfer",
        "wheezes",
        "results/transfers",
        "answers.csv",
        "docs/results",
        "/shared",
    )
    if words[:2] in (["data", "show"], ["data", "list"], ["models", "show"]):
        return True
    return not any(word.startswith(missing) for word in words)


def here(words, ids, small_data):
    """A command's words with the runs, data and folders of the scratch folder in place of the page's."""
    given = [str(small_data) if before == "--data" else word for before, word in zip(["", *words], words, strict=False)]
    return [ids[word in ANOTHER_ID] if AN_ID.match(word) else _folder_of(word, ids) for word in given]


def _folder_of(word, ids):
    return ids[0] if word == "RUN" else re.sub(r"^results/runs/[0-9a-f…]+", f"results/runs/{ids[0]}", word)


def run_one_of(codes, words, env):
    """Run a command; its exit code must be one of some."""
    for code in sorted(codes):
        try:
            return bench_here(*words, env=env, code=code)
        except AssertionError as error:
            failure = error
    raise AssertionError(f"bench {' '.join(words)}: {failure}")


DRY_ELSEWHERE = {
    "docs/composites.md": "tests/bench/test_composites_page.py",
    "docs/matrices.md": "tests/bench/test_matrices_page.py",
    "docs/systems.md": "tests/bench/test_systems_page.py",
    "docs/training.md": "tests/bench/test_training_page.py",
}
"""Pages whose runs are resolved, or done, by a test of their own."""

NOT_DRY = (
    "--launcher",
    "--spec",
    "--pretrain",
    "--init-from",
    "--dataset",
    "--storage",
    "--nodes",
    "--processes",
    "--device",
)
"""Options that ask for a cluster, weights, other data or several processes: their commands are parsed alone."""


@pytest.mark.parametrize("page", [page for page in pages() if page not in DRY_ELSEWHERE])
def test_runs_and_searches_are_resolved_by_a_dry_run(page, calls, parser, scratch, small_data, monkeypatch):
    for words, path in commands_in(page, calls, parser, scratch, monkeypatch):
        if path not in DRY or set(words) & set(NOT_DRY):
            continue
        if path == "bench reproduce" and "--only" not in words:
            continue  # a whole table takes ten seconds; tests/bench/api/test_reproductions.py
        run_once(dry(here(words, scratch.ids, small_data), small_data), scratch, {0})


def dry(words, small_data):
    """A command that only says what it would do, on the small set."""
    given = [word for word in words if word != "--dry-run"]
    data = [] if "--data" in words else ["--data", str(small_data)]
    return [*given, *data, "--dry-run"]


def test_calls_of_pip_name_extras_that_exist(calls):
    texts = [" ".join(words) for lines in calls.values() for words in lines if words[0] == "pip"]
    named = {extra for text in texts for found in re.findall(r"\[([\w,-]+)\]", text) for extra in found.split(",")}
    assert named
    assert named <= set(PROJECT["optional-dependencies"])


def test_scripts_that_python_is_given_exist(calls):
    for page, lines in calls.items():
        for words in lines:
            if words[0] == "python" and words[1] == "-m" and words[2] not in ("bench", "http.server"):
                place = ROOT / words[2].replace(".", "/")
                assert place.with_suffix(".py").is_file() or (place / "__main__.py").is_file(), (page, words)


@pytest.mark.parametrize("block", [one for one in all_blocks() if one.language in ("toml", "json")], ids=str)
def test_data_blocks_can_be_read(block):
    assert {"toml": tomllib.loads, "json": json.loads}[block.language](block.text)


@pytest.mark.parametrize(("page", "test"), [*PYTHON_ELSEWHERE.items(), *DRY_ELSEWHERE.items()])
def test_a_page_whose_code_is_run_elsewhere_is_read_there(page, test):
    read = (ROOT / test).read_text(encoding="utf-8") + (ROOT / "tests/support/systems_page.py").read_text() * (
        "systems_page" in test
    )
    assert re.search(rf"\b{re.escape(Path(page).name)}", read)


@pytest.mark.parametrize(
    "block",
    [one for one in all_blocks() if one.language == "python" and one.page not in PYTHON_ELSEWHERE],
    ids=lambda block: f"{block.page}-{block.number}",
)
def test_python_is_run(block: Block, scratch, small_data, small_cache, monkeypatch, capsys):
    """In a scratch folder, on the small set and with a small network in place of the simulated one."""
    monkeypatch.chdir(scratch.folder)
    for name in ("BENCH_HOME", "BENCH_CACHE"):
        monkeypatch.setenv(name, scratch.env[name])
    text = block.text.replace('data="demo"', f"data={str(small_data)!r}, settings={SETTINGS!r}")
    text = re.sub(r'"[0-9a-f]{4}"', repr(scratch.ids[0]), text)
    module = ModuleType("a_readers_module")
    monkeypatch.setitem(sys.modules, module.__name__, module)  # dataclasses look for theirs
    with fresh_registries():
        exec(compile(text, f"{block.page}, block {block.number}", "exec"), module.__dict__)


@pytest.mark.parametrize(
    ("page", "options"),
    [
        ("docs/how-to/add-a-method.md", {"model": "ast", "method": "focal"}),
        ("docs/how-to/add-a-model.md", {"model": "small-cnn", "method": "ce"}),
        ("docs/how-to/add-a-front-end.md", {"model": "ast", "method": "ce", "frontend": "plain-mel"}),
    ],
)
def test_what_the_pages_add_is_trained_for_an_epoch(page, options, scratch, small_data, small_cache, monkeypatch):
    monkeypatch.chdir(scratch.folder)
    (file,) = written_files(page, scratch.folder)
    small = dict(SETTINGS) if options["model"] == "ast" else {"batch": 8}
    if "frontend" in options:
        del small["frontend.seconds"]
    places = {"data": small_data, "cache": small_cache, "home": scratch.folder / "results"}
    with fresh_registries():
        run = bench.run(**options, epochs=1, settings=small, plugins=[file], device="cpu", **places)
        assert run.status == "finished"
        assert len(run.predictions["last"]) == 12
