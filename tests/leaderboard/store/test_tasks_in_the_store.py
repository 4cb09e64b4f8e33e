"""Results of tasks with other classes and several tested parts go through the store as those of four classes do."""

from __future__ import annotations

import json

import numpy as np
import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from board_runs import write_run
from task_runs import FIVE, FIVE_ALONE, NOISES, THREE, TWO, cycles_of, scores_of, write_task_run

from bench.core.datasets import DATASETS
from bench.core.errors import ResultError
from leaderboard.results.run_folder import RunFolder
from leaderboard.store import schema
from leaderboard.store.rebuilding import rebuild
from leaderboard.store.store import Store
from leaderboard.store.versions import migrations_folder


@pytest.fixture
def store(tmp_path):
    return Store.open(tmp_path)


def rates(labels, chosen):
    """Sp and Se in percent, counted cycle by cycle: class 4 is neither normal nor abnormal."""
    normal = [guess == 0 for label, guess in zip(labels, chosen, strict=True) if label == 0]
    abnormal = [guess == label for label, guess in zip(labels, chosen, strict=True) if label in (1, 2, 3)]
    return 100 * sum(normal) / len(normal), 100 * sum(abnormal) / len(abnormal)


def test_each_part_has_the_numbers_of_its_own_cycles(store, tmp_path):
    store.import_run(write_task_run(tmp_path, rules=("last",)))
    (run,) = store.runs()
    cycles = cycles_of(FIVE)
    chosen = scores_of(cycles, 5, 2).argmax(axis=1)
    for part in ("inter", "intra"):
        rows = [i for i, name in enumerate(cycles.parts) if name == part]
        sp, se = rates([cycles.labels[i] for i in rows], [chosen[i] for i in rows])
        found = run.metrics_of(part)["last"]["5class"]
        assert (found["sp"], found["se"], found["n"]) == (pytest.approx(sp), pytest.approx(se), 45)
        assert found["as"] == pytest.approx((sp + se) / 2)
        assert found["hs"] == pytest.approx(2 * sp * se / (sp + se))
        assert found["score"] == pytest.approx((found["as"] + found["hs"]) / 2)
    assert run.metrics_of("inter") == run.metrics != run.metrics_of("intra")
    assert run.metrics_of("nowhere") == {}


def test_a_result_comes_out_as_its_folder_holds_it(store, tmp_path):
    folders = [write_task_run(tmp_path), write_task_run(tmp_path, task=THREE), write_run(tmp_path)]
    for folder in folders:
        assert store.import_run(folder) == "new"
        assert store.run(folder.name) == json.loads((folder / "result.json").read_text())
        kept, read = store.result(folder.name), RunFolder(folder).read()
        assert (kept.digest, kept.cycles.hash) == (read.digest, read.cycles.hash)
        assert store.import_run(folder) == "same"
    # The metrics of other parts are rows: what comes out is computed from the predictions, not remembered.
    assert sum("task" in run.extra for run in store.runs()) == 2
    assert not any("other_parts" in run.extra for run in store.runs())


def test_a_rule_without_metrics_may_be_null_in_other_parts_or_left_out(store, tmp_path):
    folder = write_task_run(tmp_path)
    store.import_run(folder)
    document = json.loads((folder / "result.json").read_text())
    document["other_parts"]["intra"]["best-val"] = None
    (folder / "result.json").write_text(json.dumps(document))
    assert store.import_run(folder) == "same"


def test_scores_have_a_column_for_each_class_of_the_run(store, tmp_path):
    five, three, four = write_task_run(tmp_path), write_task_run(tmp_path, task=THREE), write_run(tmp_path)
    for folder in (five, three, four):
        store.import_run(folder)
    names = [folder.name for folder in (five, three, four)]
    scores = store.predicted_scores(names, "last")
    assert [scores[name][1].shape for name in names] == [(90, 5), (90, 3), (60, 4)]
    cycles, kept = store.predictions(five.name, "last")
    back = [cycles_of(FIVE).keys.index(key) for key in cycles.keys]
    np.testing.assert_array_equal(kept, scores_of(cycles_of(FIVE), 5, 2)[back])
    assert cycles == cycles_of(FIVE).subset(back)
    assert store.predicted_classes(names, "last")[five.name][1].tolist() == kept.argmax(axis=1).tolist()
    assert store.recompute(five.name, "last") == {
        judged: {name: value for name, value in metrics.items() if name != "epoch"}
        for judged, metrics in store.run(five.name)["metrics"]["last"].items()
    }


def test_sets_of_equal_labels_may_be_of_tasks_with_more_or_fewer_classes(store, tmp_path):
    """A set of cycles does not say how many classes there are: labels 0 to 2 alone may be of both tasks."""
    cycles = cycles_of(THREE)
    other = write_task_run(tmp_path, task=FIVE_ALONE, cycles=cycles)
    three = write_task_run(tmp_path, task=THREE, cycles=cycles)
    for folder in (other, three):
        store.import_run(folder)
    hashes = {run.judged_set for run in store.runs()}
    assert len(hashes) == 1
    assert store.predictions(other.name, "last")[1].shape == (90, 5)
    assert store.predictions(three.name, "last")[1].shape == (90, 3)


def test_a_run_says_what_it_was_judged_on(store, tmp_path):
    for folder in (write_task_run(tmp_path), write_run(tmp_path, seed=2)):
        store.import_run(folder)
    five, four = (run.judged_task for run in store.runs())
    assert (five.dataset, five.title, five.task.id, five.task.classes) == (NOISES.id, "Noises", "noise-5", FIVE.classes)
    assert (four.dataset, four.task.id) == ("icbhi", "cycle-4")
    with store.session() as session:
        assert set(session.scalars(sa.select(schema.Run.task))) == {"noise-5", "cycle-4"}


def test_systems_of_any_task_are_read_once_each(store, tmp_path):
    for seed in (1, 2):
        store.import_run(write_task_run(tmp_path, seed=seed))
        store.import_run(write_task_run(tmp_path, seed=seed, task=TWO))
    found = store.systems([("ast", "patchmix-cl")], "last")
    assert sorted((system.task, system.runs) for system in found) == [("noise-2", 2), ("noise-5", 2)]


def test_a_rebuild_keeps_tasks_and_parts(store, tmp_path):
    store.import_run(write_task_run(tmp_path))
    before = store.runs()
    assert not rebuild(tmp_path).broken
    assert store.runs() == before
    assert before[0].other_parts["intra"]["last"]


def test_metrics_of_another_part_that_were_edited_are_refused(tmp_path):
    folder = write_task_run(tmp_path)
    result = tmp_path / "runs" / folder.name / "result.json"
    document = json.loads(result.read_text())
    inter, intra = document["metrics"]["last"], document["other_parts"]["intra"]["last"]
    document["other_parts"]["intra"]["last"], document["metrics"]["last"] = inter, intra
    result.write_text(json.dumps(document))
    with pytest.raises(Exception, match=r"metrics\.last\.5class\.confusion is .*, but its predictions give"):
        RunFolder(folder).read()


def test_going_back_a_version_takes_the_runs_of_other_tasks_out(store, tmp_path):
    store.import_run(write_task_run(tmp_path))
    store.import_run(write_run(tmp_path))
    config = Config()
    config.set_main_option("script_location", str(migrations_folder()))
    with sa.create_engine(f"sqlite:///{tmp_path / 'leaderboard.sqlite'}", poolclass=sa.NullPool).begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0003")
    store.database.upgrade()
    assert [run.judged_task.task.id for run in store.runs()] == ["cycle-4"]
    with store.session() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(schema.CycleSetRow)) == 1


def edited(folder, change):
    """The folder of a run whose result was changed by hand."""
    told = json.loads((folder / "result.json").read_text())
    change(told["task"])
    (folder / "result.json").write_text(json.dumps(told))
    return folder


def test_unknown_words_of_a_task_do_not_make_a_result_unreadable(store, tmp_path):
    store.import_run(edited(write_task_run(tmp_path), lambda task: task["parts"][0].update(since=2023)))
    assert [part.id for part in store.runs()[0].judged_task.task.parts] == ["inter", "intra"]


def test_a_set_that_nobody_registered_does_not_stand_under_the_name_of_another(store, tmp_path):
    store.import_run(edited(write_task_run(tmp_path), lambda task: task.update(dataset=DATASETS.primary().card.title)))
    assert store.runs()[0].judged_task.title == f"{DATASETS.primary().card.title} ({NOISES.id})"


def test_parts_are_told_in_one_line(store, tmp_path):
    with pytest.raises(ResultError) as caught:
        store.import_run(edited(write_task_run(tmp_path), lambda task: task["parts"][0].update(id="new\nline")))
    assert caught.value.message.splitlines() == [caught.value.message]
