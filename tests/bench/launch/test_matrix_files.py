"""The TOML file of a matrix: what it becomes, and what is refused before anything starts."""

from __future__ import annotations

import time
from functools import partial

import pytest
from logs import logged
from matrix_files import RUNS, SMALL, planned, written
from plugin_files import fresh_registries, write_plugin
from speeds import limit

from bench.api.matrices import plan_file
from bench.core.errors import SpecError
from bench.core.files import write_json
from bench.launch.jobs import LaunchOptions
from bench.launch.matrix.cells import cells_of
from bench.launch.matrix.file import read_matrix
from bench.launch.matrix.folder import MatrixFolder
from bench.launch.matrix.record import record_of
from bench.launch.matrix.status import status_of
from bench.launch.matrix.tasks import specs_of
from leaderboard.results.run_folder import RunFolder
from leaderboard.results.validation import run_id_of


@pytest.fixture
def write(tmp_path):
    """Writes a matrix's file."""
    return partial(written, tmp_path)


@pytest.fixture
def plan_of(tmp_path, small_data, small_cache):
    """Plans a file on the small set."""
    return partial(planned, tmp_path, small_data, small_cache)


@pytest.fixture
def registries_as_new():
    """Registries that forget after the test what a plug-in has added."""
    with fresh_registries():
        yield


# --- what is refused ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "lacks 'runs'"),
        ("runs = []", r"has no \[\[runs\]\]"),
        ("seed = '1-5'\n" + RUNS, "unknown key 'seed': did you mean 'seeds'"),
        (RUNS + "setings = []", "runs 1: unknown key 'setings': did you mean 'settings'"),
        (RUNS + "[[runs]]\nsystems = 'cnn'", "runs 2: systems is 'cnn', but must be a list"),
        (RUNS + "systems = ['patchmix-cl']", "runs 1 needs either systems, or models and methods"),
        ("[[runs]]\nmodels = ['ast']", "runs 1 lacks methods"),
        ("[[runs]]\nmodels = []\nmethods = ['ce']", "models is empty"),
        (RUNS + "seeds = true", "seeds is True, but must be seeds like 1-5 or a list of numbers"),
        (RUNS + "epochs = '3'", "epochs is '3', but must be a whole number"),
        ("name = '../x'\n" + RUNS, "name '../x' must be up to 80 letters"),
        ("name = 'table1'\n" + RUNS, "'table1' is what `bench reproduce table1` runs"),
        ("runs = 3", "runs is 3, but must be a list"),
        ("not toml", "is no TOML"),
    ],
)
def test_a_file_that_is_wrong_is_told_where(write, text, said):
    with pytest.raises(SpecError, match=said):
        read_matrix(write(text))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "[[runs]]\nmodels = ['asst']\nmethods = ['ce']",
            r"small.toml: runs 1: unknown model 'asst': did you mean 'ast'",
        ),
        ("[[runs]]\nmodels = ['ast']\nmethods = ['zz*']", r"runs 1: unknown method 'zz\*'"),
        (
            RUNS + "[[runs]]\nsystems = ['patchmix-lc']",
            "runs 2: unknown system 'patchmix-lc': did you mean 'patchmix-cl'",
        ),
        ("[[runs]]\nsystems = ['none.toml']", "there is no file none.toml"),
        (RUNS + "data = '~nobody-of-this-name/icbhi'", "home folder"),
        (RUNS + "datasets = ['icbi']", "unknown data set 'icbi': did you mean 'icbhi'"),
        (RUNS + "seeds = 'five'", "runs 1: seeds is 'five', but must look like 1-5"),
        (RUNS + "settings = [{ lr = [1, 2] }]", r"settings 1: lr is \[1, 2\], but must be a number"),
    ],
)
def test_wrong_ids_and_values_are_named_with_their_place(write, text, said):
    path = write(text)
    with pytest.raises(SpecError, match=said):
        cells_of(read_matrix(path), path)


# --- what it becomes ----------------------------------------------------------------------------------------------


def test_cells_are_the_product_of_what_a_table_names(write):
    path = write(
        "seeds = '1-3'\nepochs = 7\n[[runs]]\nmodels = ['cnn6', 'ast']\nmethods = ['ce', 'mixup']\n"
        "settings = [{ lr = 1e-3 }, { lr = 1e-4 }]\ntasks = ['four-class']\n[[runs]]\nsystems = ['patchmix-*']\n"
    )
    cells = cells_of(read_matrix(path), path, data="demo")
    first = [cell for cell in cells if cell.place.startswith("runs 1")]
    assert len(first) == 8
    assert [cell.place for cell in first[:2]] == [
        "runs 1: cnn6 + ce, lr=0.001, four-class",
        "runs 1: cnn6 + ce, lr=0.0001, four-class",
    ]
    assert {(tuple(cell.seeds), cell.settings["epochs"], cell.asked["data"]) for cell in cells} == {
        ((1, 2, 3), 7, "demo")
    }
    assert "patchmix-cl" in {cell.system for cell in cells}


def test_a_run_that_two_cells_share_is_there_once(plan_of):
    cell = f"[[runs]]\nmodels = ['ast']\nmethods = ['ce']\nsettings = [{SMALL}]\n"
    plan = plan_of(f"name = 'twice'\nseeds = '1-2'\n{cell}{cell}")
    assert [(run.spec.seed, run.rows) for run in plan.runs] == [
        (seed, ("runs 1: ast + ce", "runs 2: ast + ce")) for seed in (1, 2)
    ]
    assert [run.run_id for run in plan.runs] == [run_id_of(run.spec.identity()) for run in plan.runs]
    assert (plan.name, plan.profile) == ("twice", "demo")


def test_a_cell_that_cannot_start_is_refused_and_the_others_go_on(plan_of):
    plan = plan_of(f"seeds = 1\n[[runs]]\nmodels = ['cnn6', 'ast']\nmethods = ['patchmix-cl']\nsettings = [{SMALL}]")
    assert [run.spec.model for run in plan.runs] == ["ast"]
    assert list(plan.refused) == ["runs 1: cnn6 + patchmix-cl"]
    with pytest.raises(SpecError, match=r"small.toml: runs 1: ast [+] ce: Unknown setting 'epoch'"):
        plan_of(RUNS + "settings = [{ epoch = 3 }]")


@pytest.mark.usefixtures("registries_as_new")
def test_the_plug_ins_of_a_file_are_those_of_its_runs(plan_of, tmp_path):
    plugin = write_plugin(tmp_path / "mine.py")
    (run,) = plan_of(f"seeds = 1\nplugins = ['mine.py']\n{RUNS.replace('ce', 'mine')}settings = [{SMALL}]").runs
    assert (run.spec.method, run.spec.plugins) == ("mine", (str(plugin),))


def test_data_that_the_file_names_stay_and_it_is_said(write, small_data, small_cache, tmp_path):
    path = write(f"seeds = 1\ndata = '{small_data}'\n{RUNS}settings = [{SMALL}]")
    folders = {"home": tmp_path, "cache": small_cache}
    with logged() as lines:
        planned = plan_file(path, LaunchOptions(), data="demo", device="cpu", processes=1, precision="auto", **folders)
    assert planned.plan.runs[0].spec.data == str(small_data)
    assert [line for line in lines if line.startswith("--data says nothing to 1 of the [[runs]]")]


def test_a_composite_is_planned_with_its_parts(plan_of, write):
    parts = "".join(
        f"[parts.{name}]\nmodel = 'ast'\nmethod = '{method}'\nsettings = {SMALL}\n"
        for name, method in (("mixed", "patchmix-cl"), ("plain", "ce"))
    )
    write(f"name = 'fusion'\ncombine = 'product'\n{parts}", "fusion.toml")
    plan = plan_of(f"seeds = [4]\n[[runs]]\nsystems = ['fusion.toml']\n{RUNS}settings = [{SMALL}]")
    composite, run = plan.runs
    assert (composite.spec.name, set(composite.parts), composite.spec.seed) == ("fusion", {"mixed", "plain"}, 4)
    assert run.run_id == composite.parts["plain"]
    assert set(specs_of(plan.runs)) == set(composite.parts.values())


# --- many runs ----------------------------------------------------------------------------------------------------


def test_ten_thousand_runs_are_planned_and_looked_at_in_seconds(plan_of, tmp_path):
    """Simulated: nothing trains, the results are files of a few words."""
    cells = ", ".join(SMALL.replace("{", f"{{ lr = {1e-4 + place * 1e-8:.8f},") for place in range(1000))
    text = f"seeds = '1-5'\n[[runs]]\nmodels = ['ast']\nmethods = ['ce', 'mixup']\nsettings = [{cells}]"
    began = time.process_time()
    plan = plan_of(text)
    took = time.process_time() - began
    assert len(plan.runs) == 10_000
    judged = '{"last": {"4class": {"score": 50.0}}}'
    head = f'{{"status": "finished", "error": null, "seconds": 9.5, "epochs": [], "metrics": {judged}}}'
    for run in plan.runs[:4000]:
        path = RunFolder.of_run(tmp_path, run.run_id).result
        path.parent.mkdir(parents=True)
        path.write_text(head)
    folder = MatrixFolder.of(tmp_path, plan.name)
    began = time.process_time()
    write_json(folder.record, record_of(plan, LaunchOptions()))
    found = status_of(folder, tmp_path)
    took += time.process_time() - began
    assert found.counts == {"done": 4000, "running": 0, "missing": 6000, "failed": 0}
    assert took < limit(5.0), f"{took:.1f} s"
