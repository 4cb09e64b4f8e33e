"""Data sets from files and packages: found, told apart, part of a run's identity, and named in documents."""

from __future__ import annotations

import dataclasses
import json

import pytest
from pinned_specs import recipe_spec
from plugin_files import fresh_registries, write_package
from wheeze_set import PLUGIN, rows, write_plugin_of_page, write_table, write_wheezes

from bench.core.datasets import DATASETS, DatasetCard, DatasetRegistry, TaskCard
from bench.core.errors import DataError, RegistryError, SpecError
from bench.core.options import option
from bench.experiment.card_checks import card_problems
from bench.experiment.consent import agreed_plugins
from bench.experiment.judgement import check_combinations, judge
from bench.experiment.plugins import extensions, file_version, load_entry_points, load_plugins, load_plugins_of
from bench.experiment.recipes import Request, choose_source, resolve
from bench.experiment.registries import registries

SMALL = {"epochs": 1, "model.embed_dim": 64, "model.depth": 1, "model.heads": 2}


@pytest.fixture(autouse=True)
def _forget():
    with fresh_registries():
        yield


@pytest.fixture
def plugin(tmp_path):
    return write_plugin_of_page(tmp_path / "wheezes.py")


@pytest.fixture
def wheezes(tmp_path):
    return write_wheezes(tmp_path / "data")


def asked(plugin, folder, cache, **changes):
    request = Request(
        **{
            "model": "ast",
            "method": "ce",
            "pretrain": "none",
            "cache": cache,
            "data": str(folder),
            "plugins": [plugin],
            "fields": SMALL,
            "profile": "paper",
            **changes,
        }
    )
    return resolve(request, choose_source(request), [1])[0]


# Registries


def test_a_file_adds_its_data_set_beside_those_that_are_built_in(plugin):
    built_in = [entry.id for entry in DATASETS]
    load_plugins([plugin])
    assert [entry.id for entry in DATASETS] == [*built_in, "wheezes"]
    assert DATASETS.get("wheezes").version == file_version(plugin)
    assert registries()["dataset"] is DATASETS
    assert not DATASETS.primary().version


def test_two_files_with_one_id_name_both(tmp_path, plugin):
    other = write_plugin_of_page(tmp_path / "other.py")
    with pytest.raises(RegistryError) as caught:
        load_plugins([plugin, other])
    assert f"The data set id 'wheezes' is claimed by {plugin} and by {other}." in caught.value.message


def test_a_plug_in_cannot_take_the_place_of_what_is_built_in_however_early_it_comes():
    taken = DatasetRegistry()
    card = dataclasses.replace(DATASETS.primary().card, title="Mine")
    with pytest.raises(RegistryError, match=f"The data set id '{card.id}' is claimed by bench"):
        taken.add(card.id, card, print, origin="mine.py", version="sha256:0")
    assert taken.card(card.id) == DATASETS.primary().card


def test_registries_of_a_test_leave_those_of_others_as_they_were(plugin):
    # As in a new process, in which nobody has looked for what is built in.
    vars(DATASETS).update(vars(DatasetRegistry()))
    with fresh_registries():
        load_plugins([plugin])
    assert "wheezes" not in DATASETS
    assert DATASETS.primary()


def test_a_package_brings_a_data_set_under_its_version(tmp_path, monkeypatch):
    points = "[lungbench.datasets]\nwheezes = fake_wheezes:wheezes\nnone = fake_wheezes:CARD\n"
    monkeypatch.syspath_prepend(write_package(tmp_path / "site", "fake-set", points, {"fake_wheezes": PLUGIN}))
    assert DATASETS.get("wheezes").version == "fake-set==1.0"
    assert extensions("ast", "ce", "ast", "wheezes") == {"dataset": "fake-set==1.0"}
    reasons = [problem.reason for problem in load_entry_points()]
    assert [reason for reason in reasons if "is a DatasetCard, but must be a Registration" in reason]


# Runs


def test_the_version_of_a_data_set_is_part_of_a_run(plugin, wheezes, small_cache):
    spec = asked(plugin, wheezes, small_cache)
    assert (spec.dataset, spec.task, spec.extensions) == ("wheezes", "wheeze-2", {"dataset": file_version(plugin)})
    assert spec.sampling.batch == 4
    assert spec.frontend_options["seconds"] == 2.0
    assert asked(plugin, wheezes, small_cache, dataset="wheezes", task="wheeze-2").run_id == spec.run_id


def test_the_run_id_follows_the_code_of_a_data_set(tmp_path, plugin, wheezes, small_cache):
    first = asked(plugin, wheezes, small_cache)
    changed = tmp_path / "changed.py"
    changed.write_text(PLUGIN + "# a comment\n")
    with fresh_registries():
        assert asked(changed, wheezes, small_cache).run_id != first.run_id


def test_a_plug_in_of_a_data_set_is_no_part_of_a_run_on_another(plugin, small_data, small_cache):
    spec = asked(plugin, small_data, small_cache, profile="demo")
    assert spec.extensions == {}
    assert spec.task == "cycle-4"


def test_the_code_of_a_data_set_runs_where_it_is_agreed_to(tmp_path, plugin, wheezes, small_cache):
    spec = asked(plugin, wheezes, small_cache)
    with pytest.raises(SpecError, match="names code to run"):
        agreed_plugins(spec, None, lambda version, path: False)
    agreed = []
    assert agreed_plugins(spec, None, lambda version, path: not agreed.append((version, path))) == (str(plugin),)
    assert agreed == [(file_version(plugin), plugin)]
    with fresh_registries():
        load_plugins_of(spec)
        assert "wheezes" in DATASETS
    with fresh_registries(), pytest.raises(SpecError, match="data set 'wheezes' comes from a plug-in"):
        load_plugins_of(spec.changed(plugins=()))
    plugin.write_text(PLUGIN + "# changed\n")
    with fresh_registries(), pytest.raises(SpecError, match="The run's data set 'wheezes' was sha256:"):
        load_plugins_of(spec)


# Documents


def test_a_finished_run_is_kept_where_its_data_set_is_not_and_a_new_one_is_refused(plugin, wheezes, small_cache):
    spec = asked(plugin, wheezes, small_cache)
    document = json.loads(json.dumps(spec.to_json()))["identity"]
    with fresh_registries():
        judge(document)
        with pytest.raises(SpecError, match="dataset is 'wheezes', but must be one of "):
            judge({**document, "extensions": {}})
        with pytest.raises(SpecError, match="dataset is 'wheezes', but must be one of "):
            check_combinations(spec)
    judge(document)
    with pytest.raises(SpecError, match="Unknown task 'wheeze-3' of the data set wheezes: did you mean 'wheeze-2'"):
        judge({**document, "task": "wheeze-3"})
    judge({**document, "task": "wheeze-3", "extensions": {"dataset": "sha256:of-another-version"}})


def test_a_recipe_that_sets_what_is_no_setting_is_told_with_the_nearest(plugin, wheezes, small_cache):
    plugin.write_text(PLUGIN.replace('"batch": 4', '"btach": 4'))
    with pytest.raises(SpecError, match="set 'btach', which is no setting: did you mean 'batch'"):
        asked(plugin, wheezes, small_cache)


def test_a_task_that_a_built_in_set_does_not_have_is_refused():
    spec = recipe_spec("ast", "ce", "demo", task="cycle-5")
    for check in (lambda: judge(spec.identity()), lambda: check_combinations(spec)):
        with pytest.raises(SpecError, match="Unknown task 'cycle-5' of the data set icbhi: did you mean 'cycle-4'"):
            check()


# Data that cannot be judged


@pytest.mark.parametrize(("kind", "rate"), [("normal", "specificity"), ("abnormal", "sensitivity")])
def test_a_tested_part_without_a_class_is_refused_before_the_training(plugin, wheezes, small_cache, kind, rate):
    from bench.engine.preflight import check_start

    kept = "wheeze" if kind == "normal" else "normal"
    write_table(wheezes, [row for row in rows() if row["part"] == "train" or row["class"] == kept])
    with pytest.raises(DataError) as caught:
        check_start(asked(plugin, wheezes, small_cache))
    assert f"The test part 'test' of {wheezes} holds no {kind} segment, so that its {rate} is undefined." == (
        caught.value.message
    )


# Cards


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    rate: int = option(8000, "sampling rate", low=1, high=48_000)


def card(task=None, **changes):
    judged = TaskCard(**{"id": "two", "title": "Two", "classes": ("normal", "odd"), **(task or {})})
    return DatasetCard(**{"id": "made", "title": "Made", "summary": "Made up.", "tasks": (judged,), **changes})


FAULTS = [
    (card(title=""), "title is empty"),
    (card(id="x" * 41), "id has 41 characters"),
    (card(recordings=0), "recordings is 0, but must be 1 or more"),
    (card(options=Options), "a data set has no options"),
    (card(patients=frozenset({"a"}), shared_patients=frozenset({"b"})), "shared_patients names some that are not"),
    (card(recipes={"paper:scratch": {}}), "recipe 'paper:scratch' must be named paper or demo"),
    (card(recipes={"paper": {"batch": 0}}), "recipe 'paper': batch is 0"),
    (card(recipes={"paper": {"dataset.rate": 1}}), "recipe 'paper': 'dataset.rate' is no setting"),
    (card({"recipes": {"demo": {"seconds": 1.0}}}), "recipe 'demo': 'seconds' is no setting"),
    (card({"title": " "}), "task 'two': title is empty"),
    (card({"unit": ""}), "task 'two': unit has 0 characters"),
    (card({"counts": {"dev": (1, 2)}}), "task 'two': counts names 'dev', but the parts are train, test"),
    (card({"counts": {"train": (1, 2, 3)}}), "task 'two': counts of 'train' are 3, but there are 2 classes"),
    (card({"judged_sets": frozenset({"x"})}), "task 'two': judged_sets holds 'x'"),
]


@pytest.mark.parametrize(("faulty", "problem"), FAULTS, ids=[problem for _, problem in FAULTS])
def test_what_a_card_gets_wrong_is_said(faulty, problem):
    assert any(problem in found for found in card_problems(faulty)), card_problems(faulty)


def test_the_card_of_the_page_is_complete(plugin):
    load_plugins([plugin])
    assert card_problems(DATASETS.card("wheezes")) == []
    assert card_problems(card({"counts": {"train": (1, 2), "test": (3, 4)}})) == []
