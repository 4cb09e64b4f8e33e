"""Composite systems from end to end: their parts as runs on the shelf, and one result on the board."""

from __future__ import annotations

import os
import signal
import time

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

import bench as library
from bench.core.errors import BenchError, RunError
from bench.engine.states import POINTER
from bench.launch.matrix.tasks import Making, tasks_of
from leaderboard.metrics import score_cycles
from leaderboard.results.predictions import read_cycles, read_predictions
from leaderboard.results.run_folder import RunFolder
from leaderboard.store.store import Store
from leaderboard.tables.board_tables import leaderboard_table, runs_table
from tests.support import cli_runs
from tests.support.matrix_files import planned
from tests.support.plugin_files import fresh_registries, method_text, write_plugin
from tests.support.small_data import write_small_data

SMALL = (
    "settings = { embed_dim = 16, depth = 1, heads = 2, frontend.seconds = 1.0, batch = 4, specaug_probability = 0.0 }"
)
PRODUCT = f"""
name = "fusion"
combine = "product"
[parts.mixed]
model = "ast"
method = "patchmix-cl"
{SMALL}
[parts.plain]
model = "ast"
method = "ce"
{SMALL}
"""
ROUTE = f"""
name = "by-device"
combine = "route:device"
[parts.low]
model = "ast"
method = "ce"
device = "Meditron"
{SMALL}
[parts.others]
model = "ast"
method = "patchmix-cl"
default = true
{SMALL}
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_small_data(tmp_path_factory.mktemp("composites") / "data", devices=("Meditron", "AKGC417L"))


@pytest.fixture
def run(tmp_path, data, small_cache):
    """Runs the composite of a text in the test's own results folder."""

    def run(text=PRODUCT, **options):
        path = tmp_path / "system.toml"
        path.write_text(text)
        words = {"data": data, "cache": small_cache, "home": tmp_path / "home", "device": "cpu", "epochs": 1}
        return library.run_composite(path, **{**words, **options})

    return run


def scores_of(folder, rule="last"):
    return read_predictions(folder / f"predictions-{rule}.csv").scores


def part_folders(made):
    return {name: made.folder.parent / run_id for name, run_id in made.parts.items()}


def test_a_product_of_two_runs_is_one_system(run):
    made = run()
    folders = part_folders(made)
    products = scores_of(folders["mixed"]) * scores_of(folders["plain"])
    np.testing.assert_allclose(scores_of(made.folder), products / products.sum(axis=1, keepdims=True), rtol=1e-12)
    metrics = score_cycles(read_cycles(made.folder / "test-cycles.csv").labels, scores_of(made.folder))
    assert made.metrics["last"] == {judged: {**values, "epoch": None} for judged, values in metrics.items()}
    assert made.document["provenance"]["parts"] == made.parts
    assert made.document["inputs"] == {
        "metadata": False,
        "ensemble": 2,
        "tta": False,
        "thresholds": "none",
        "pretrained_on_icbhi": False,
    }


def test_parts_lie_on_the_shelf_and_are_not_ranked(run, tmp_path):
    made = run()
    store = Store.open(tmp_path / "home")
    table = leaderboard_table(store)
    assert [row["run_ids"] for section in table.sections for row in section.rows] == [[made.id]]
    assert any("Runs on the shelf, parts of composites and never ranked: 2 (fusion)" in note for note in table.notes)
    kinds = {row["run_id"]: row["kind"] for row in runs_table(store).sections[0].rows}
    assert kinds == {made.id: "composite", **dict.fromkeys(made.parts.values(), "part")}
    assert {RunFolder(folder).read().document["part_of"] for folder in part_folders(made).values()} == {"fusion"}


def test_a_finished_composite_is_not_run_twice(run):
    made = run()
    before = {name: (folder / "result.json").read_bytes() for name, folder in part_folders(made).items()}
    again = run()
    assert again.document == made.document
    assert {name: (folder / "result.json").read_bytes() for name, folder in part_folders(made).items()} == before


def test_a_route_takes_each_cycle_from_the_part_of_its_device(run):
    made = run(ROUTE)
    folders, cycles = part_folders(made), read_cycles(made.folder / "test-cycles.csv")
    low, others, found = scores_of(folders["low"]), scores_of(folders["others"]), scores_of(made.folder)
    assert set(cycles.devices) == {"Meditron", "AKGC417L"}
    for row, device in enumerate(cycles.devices):
        assert found[row].tolist() == (low if device == "Meditron" else others)[row].tolist()
    assert made.document["inputs"]["metadata"] is True
    assert made.document["inputs"]["ensemble"] == 1
    assert RunFolder(folders["low"]).read().document["spec"]["train_device"] == "Meditron"
    assert [part.get("device") for part in made.document["parts"]] == ["Meditron", None]


def test_seeds_of_a_composite_make_one_row(run, tmp_path):
    one, two = run(seed=1), run(seed=2)
    [section] = leaderboard_table(Store.open(tmp_path / "home")).sections
    assert [row["run_ids"] for row in section.rows] == [[one.id, two.id]]
    assert section.rows[0]["seeds"] == [1, 2]


def test_a_run_that_was_there_stays_a_run_and_is_used(run, tmp_path, data, small_cache):
    words = {"data": data, "cache": small_cache, "home": tmp_path / "home", "device": "cpu", "epochs": 1}
    settings = {"embed_dim": 16, "depth": 1, "heads": 2, "frontend.seconds": 1.0, "batch": 4, "specaug_probability": 0}
    alone = library.run("ast", "ce", settings=settings, **words)
    made = run()
    assert made.parts["plain"] == alone.id
    assert "kind" not in RunFolder(alone.folder).read().document
    # A part that is asked for by itself leaves the shelf, and the composite stays what it was.
    library.run("ast", "patchmix-cl", settings=settings, **words)
    rows = [row for section in leaderboard_table(Store.open(tmp_path / "home")).sections for row in section.rows]
    assert sorted(row["kind"] for row in rows) == ["composite", "run", "run"]
    assert run().document == made.document


BROKEN = method_text("broken", forward='raise ValueError("no such label")')


def test_a_part_that_fails_stops_the_composite_by_name(run, tmp_path):
    text = PRODUCT.replace('method = "ce"', 'method = "broken"')
    with fresh_registries(), pytest.raises(RunError) as caught:
        run(text, plugins=write_plugin(tmp_path / "broken.py", BROKEN))
    folders = {path.name: RunFolder(path).read().document for path in (tmp_path / "home" / "runs").iterdir()}
    [failed] = [run_id for run_id, document in folders.items() if document["status"] == "failed"]
    assert caught.value.message.startswith(f"The part 'plain' (run {failed}) of the composite 'fusion' failed: ")
    assert "no such label" in caught.value.message
    assert {document["kind"] for document in folders.values()} == {"part"}
    assert len(folders) == 2


def start_from(which="last", **changes):
    """The product with its second part started from the first, whose text is changed."""
    text = PRODUCT.replace('method = "ce"', f'method = "ce"\ninit_from = "part:mixed:{which}"')
    for old, new in changes.items():
        text = text.replace(old, new, 1)
    return text


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            start_from("best-val"),
            "starts from the weights 'best-val', but the part before it will keep last, best-test",
        ),
        (start_from("stage-1"), "starts from the weights 'stage-1', but the part before it will keep last, best-test"),
        (start_from(**{"embed_dim = 16": "embed_dim = 32"}), "will not fit its model: classifier.0.bias is 32 there"),
        (
            "batch = 13".join(ROUTE.rsplit("batch = 4", 1)).replace("default = true", 'device = "AKGC417L"'),
            "Part 'others'",
        ),
    ],
)
def test_a_part_that_cannot_start_is_found_before_any_is_trained(run, tmp_path, text, sentence):
    with pytest.raises(BenchError) as caught:
        run(text)
    assert sentence in caught.value.message
    assert not (tmp_path / "home" / "runs").exists()


def test_a_start_from_the_end_of_a_stage_is_sound(run):
    text = start_from("stage-1", **{'"patchmix-cl"': '"scl"'})
    made = run(text, settings={"mixed.method.probe_epochs": 1})
    assert RunFolder(part_folders(made)["plain"]).read_document()["spec"]["init_from"] == (
        f"{made.parts['mixed']}:stage-1"
    )


def test_a_part_follows_other_weights_of_the_part_that_it_starts_from(run, tmp_path, data, small_cache):
    first = run(start_from())
    matrix = "seeds = 1\nepochs = 1\n[[runs]]\nsystems = ['system.toml']"
    (planned_run,) = planned(tmp_path, data, small_cache, matrix).runs
    making = Making(
        home=tmp_path / "home", rerun=False, stored=False, timeout=None, nodes=1, memory=lambda _: None, bring=print
    )

    def plain_is_done():
        tasks = tasks_of([planned_run], making, tmp_path / "logs")
        return next(task.is_done() for task in tasks if task.key == first.parts["plain"])

    assert planned_run.run_id == first.id
    assert plain_is_done()
    mixed, plain = (RunFolder(part_folders(first)[name]) for name in ("mixed", "plain"))
    kept = plain.result.read_bytes()
    assert run(start_from()).document == first.document
    assert plain.result.read_bytes() == kept
    # As a run with other numerics would leave them.
    with safe_open(mixed.weights_of("last"), "np") as file:
        tensors, metadata = {name: file.get_tensor(name) * 1.5 for name in file.keys()}, file.metadata()  # noqa: SIM118
    save_file(tensors, mixed.weights_of("last"), metadata)
    (first.folder / "result.json").unlink()
    assert not plain_is_done(), "otherwise the combination would train it within the matrix's own process"
    again = run(start_from())
    assert plain.result.read_bytes() != kept
    assert scores_of(again.folder).tolist() != first.predictions["last"].scores.tolist()
    kept = plain.result.read_bytes()
    run(start_from())
    assert plain.result.read_bytes() == kept


def test_another_name_for_the_same_parts_is_said_not_to_count(run, caplog):
    made = run()
    with caplog.at_level("WARNING", "bench"):
        again = run(PRODUCT.replace('"fusion"', '"other"'))
    assert again.document == made.document
    assert f"composite {made.id} is there already and keeps its name, fusion" in caplog.messages


def test_parts_that_were_cleared_away_are_not_trained_again(run, tmp_path):
    made = run()
    for folder in part_folders(made).values():
        for path in (folder / "result.json", folder / "predictions-last.csv"):
            path.unlink()
    assert run().document == made.document
    assert not any((folder / "result.json").exists() for folder in part_folders(made).values())


def test_a_composite_that_was_killed_goes_on(tmp_path, data, small_cache):
    """The second part is killed within its training: the first is not run again, the second goes on from its state."""
    path = tmp_path / "system.toml"
    path.write_text(PRODUCT)
    env = cli_runs.environment(tmp_path / "killed", small_cache)
    words = ["run", "--spec", str(path), "--data", str(data), "--device", "cpu", "--set", "mixed.epochs=1"]
    words += ["--set", "plain.epochs=40", "--set", "plain.checkpoint_minutes=0"]
    listed = cli_runs.json_here(*words, "--dry-run", env=env)
    first, second = (RunFolder.of_run(tmp_path / "killed", part["run_id"]) for part in listed["parts"])
    assert [part["state"] for part in listed["parts"]] == ["not started", "not started"]
    process = cli_runs.start(*words, env=env)
    end = time.monotonic() + 120
    while not (second.checkpoint / POINTER).is_file() and time.monotonic() < end and process.poll() is None:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert not second.has_result()
    before = first.result.read_bytes()
    listed = cli_runs.json_here(*words, "--dry-run", env=env)
    assert [part["state"] for part in listed["parts"]] == ["finished", "started"]
    assert not RunFolder.of_run(tmp_path / "killed", listed["run_id"]).has_result()

    done = cli_runs.bench_json(*words, env=env)
    assert first.result.read_bytes() == before
    assert second.read().document["kind"] == "part"
    assert (done["run_id"], done["kind"]) == (listed["run_id"], "composite")
    straight = cli_runs.json_here(*words, env=cli_runs.environment(tmp_path / "straight", small_cache))
    assert done["metrics"] == straight["metrics"]
    same = [tmp_path / home / "runs" / done["run_id"] / "predictions-last.csv" for home in ("killed", "straight")]
    assert same[0].read_bytes() == same[1].read_bytes()


def test_the_command_prints_the_composite_and_refuses_what_is_a_parts(tmp_path, data, small_cache, bench):
    path = tmp_path / "system.toml"
    path.write_text(PRODUCT)
    words = ("--spec", path, "--data", data, "--cache", small_cache, "--home", tmp_path / "home", "--dry-run")
    shown = bench("run", *words).out
    assert "kind: composite" in shown
    assert "(not started)" in shown
    assert "each part of a composite has its own" in bench("run", *words, "--model", "ast", code=2).err
    assert "Unknown system 'nothing'" in bench("run", "--system", "nothing", code=2).err
