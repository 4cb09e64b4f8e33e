"""From what a user asks for to complete specs: words of Python and of the command line mean the same."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from small_runs import SETTINGS

import bench
from bench.api.requests import build_request, joined_settings, resolve_request, seeds_text
from bench.api.runs import check_starts, replayed_spec, run_specs
from bench.api.words import known_word, selection_rule
from bench.core.errors import BenchError, RunError, SpecError
from bench.core.files import write_json
from bench.launch import once


@pytest.fixture
def spec(small_data, small_cache):
    return resolved(small_data, small_cache)


def resolved(data, cache, **options):
    return bench.resolve(
        "ast", "patchmix-cl", data=data, cache=cache, device="cpu", **{"settings": SETTINGS, **options}
    )


# --- words --------------------------------------------------------------------------------------------------------


def test_settings_of_both_kinds_are_joined():
    assert joined_settings(None, {}) == {}
    given = {"frontend.seconds": 1.0}
    assert joined_settings(given, {"lr": 1e-4}) == {"frontend.seconds": 1.0, "lr": 1e-4}
    assert given == {"frontend.seconds": 1.0}


def test_a_setting_that_is_given_twice_is_refused_even_where_it_is_the_same():
    with pytest.raises(SpecError, match="'lr' is given as a keyword and in settings") as caught:
        joined_settings({"lr": 1e-4, "batch": 2}, {"lr": 1e-4, "epochs": 1})
    assert caught.value.hint == "Give it once."


@pytest.mark.parametrize(
    ("seeds", "text"), [("1-5", "1-5"), ([3], "3"), ((1, 2, 7), "1,2,7"), (range(2, 4), "2,3"), ([], "")]
)
def test_seeds_are_written_as_on_the_command_line(seeds, text):
    assert seeds_text(seeds) == text


@pytest.mark.parametrize("word", ["last", "best-test", "best-val"])
def test_a_rule_is_its_own_word(word):
    assert selection_rule(word) == word


@pytest.mark.parametrize("word", ["Last", "last ", "", "best_test", "läst", "l" * 5000, "\x1b[31m"])
def test_no_other_word_is_a_rule(word):
    with pytest.raises(SpecError, match=r"^Unknown protocol '") as caught:
        selection_rule(word)
    assert len(caught.value.message) < 400
    assert "\x1b" not in caught.value.message


def test_an_unknown_word_says_what_it_is_a_word_for():
    with pytest.raises(SpecError, match=r"^Unknown colour 'gren': did you mean 'green'"):
        known_word("colour", "gren", ("red", "green"))


@pytest.mark.parametrize(
    ("plugins", "listed"),
    [((), []), ("a.py", ["a.py"]), (Path("a.py"), ["a.py"]), (["a.py", "b.py"], ["a.py", "b.py"])],
)
def test_one_plugin_or_several(plugins, listed):
    assert build_request("ast", "ce", plugins=plugins).plugins == [Path(name) for name in listed]


@pytest.mark.parametrize("what", ["model", "method"])
@pytest.mark.parametrize("value", [None, 3, ["ast"], object])
def test_an_id_is_a_text(what, value):
    words = {"model": "ast", "method": "ce", what: value}
    with pytest.raises(SpecError, match=f"^The {what} is .*, but must be an id") as caught:
        build_request(**words)
    assert f"`bench {what}s list`" in caught.value.hint


# --- specs --------------------------------------------------------------------------------------------------------


def test_a_path_may_be_written_as_a_text(small_data, small_cache):
    assert resolved(str(small_data), str(small_cache)) == resolved(small_data, small_cache)


def test_an_id_does_not_know_where_a_run_is_done(small_data, small_cache, tmp_path):
    one = resolved(small_data, small_cache)
    other = resolved(small_data, tmp_path / "other")
    assert one.run_id == other.run_id
    assert one.cache != other.cache


@pytest.mark.parametrize("change", [{"seed": 2}, {"epochs": 3}, {"lr": 2e-3}, {"alpha": 0.5}, {"precision": "bf16"}])
def test_what_changes_the_result_changes_the_id(spec, small_data, small_cache, change):
    assert resolved(small_data, small_cache, **change).run_id != spec.run_id


def test_keywords_and_settings_and_dotted_names_mean_the_same(small_data, small_cache):
    forms = (
        {"lr": 3e-4, "alpha": 0.5},
        {"settings": {**SETTINGS, "lr": 3e-4, "alpha": 0.5}},
        {"settings": {**SETTINGS, "method.alpha": 0.5}, "lr": 3e-4},
        {"settings": {**SETTINGS, "lr": "3e-4", "alpha": "0.5"}},
    )
    assert len({resolved(small_data, small_cache, **form).run_id for form in forms}) == 1


def test_several_seeds_are_specs_that_differ_in_the_seed_alone(spec, small_data, small_cache):
    request = build_request("ast", "patchmix-cl", data=small_data, cache=small_cache, fields=SETTINGS, device="cpu")
    specs = resolve_request(request, seeds="1-3,7")
    assert [one.seed for one in specs] == [1, 2, 3, 7]
    assert specs[0] == spec
    assert len({one.run_id for one in specs}) == 4
    without = [{name: value for name, value in one.identity().items() if name != "seed"} for one in specs]
    assert all(one == without[0] for one in without)


@pytest.mark.parametrize("words", [{"seed": 1, "seeds": "1-2"}, {"seeds": "2-1"}, {"seeds": ""}, {"seed": -1}])
def test_seeds_that_cannot_be_read_are_refused(small_data, small_cache, words):
    request = build_request("ast", "ce", data=small_data, cache=small_cache)
    with pytest.raises(SpecError, match="seed"):
        resolve_request(request, **words)


def test_the_log_says_what_will_be_run_and_that_data_are_simulated(small_data, small_cache, caplog):
    with caplog.at_level("INFO", "bench"):
        spec = resolved(small_data, small_cache, epochs=3)
    (line,) = [message for message in caplog.messages if message.startswith(f"run {spec.run_id}: ")]
    for part in ("ast (none)", "patchmix-cl", "simulated", "seed 1", "3 epochs", "batch 8", "cpu", "1 process"):
        assert part in line
    assert any("never that a method does" in message for message in caplog.messages)


def test_the_log_counts_in_words_and_says_where_a_probe_takes_no_steps(small_data, small_cache, caplog):
    with caplog.at_level("INFO", "bench"):
        resolved(small_data, small_cache, epochs=1)
        for solver in ("lbfgs", "adam"):
            settings = {**SETTINGS, "time_shift": False, "solver": solver}
            bench.resolve("ast", "linear-probe", data=small_data, cache=small_cache, device="cpu", settings=settings)
    one, solved, stepped = (message for message in caplog.messages if message.startswith("run "))
    assert " · 1 epoch · batch " in one
    assert one.endswith(" · 1 process")
    assert " · classifier by L-BFGS · cpu" in solved
    assert " epochs · batch " in stepped


# --- runs without a training --------------------------------------------------------------------------------------


@pytest.fixture
def launched(monkeypatch, tmp_path):
    """The specs that were launched; seed 2 fails."""
    seen = []

    def launch(spec, home, *, rerun):
        seen.append((spec.seed, home, rerun))
        error = RunError("The loss is nan.", "Lower it.") if spec.seed == 2 else None
        document = {"run_id": spec.run_id, "status": "failed" if error else "finished", "metrics": {"last": None}}
        return once.Launched(tmp_path, SimpleNamespace(document=document, cycles=None, scores={}), error)

    monkeypatch.setattr(once, "launch", launch)
    return seen


def test_one_run_that_fails_does_not_stop_the_others(launched, small_data, small_cache, tmp_path, caplog):
    request = build_request("ast", "patchmix-cl", data=small_data, cache=small_cache, fields=SETTINGS, device="cpu")
    specs = resolve_request(request, seeds="1-3")
    done = run_specs(specs, tmp_path / "home", rerun=True)
    assert launched == [(seed, tmp_path / "home", True) for seed in (1, 2, 3)]
    assert [one.error.message if one.error else None for one in done] == [None, "The loss is nan.", None]
    assert f"run {specs[1].run_id} failed: The loss is nan. Lower it." in caplog.messages


def test_the_call_raises_what_its_run_failed_with(launched, small_data, small_cache, tmp_path):
    options = {"data": small_data, "cache": small_cache, "home": tmp_path, "settings": SETTINGS, "device": "cpu"}
    done = bench.run("ast", "patchmix-cl", seed=1, **options)
    assert (done.id, done.predictions) == (done.spec.run_id, {})
    with pytest.raises(RunError, match="The loss is nan") as caught:
        bench.run("ast", "patchmix-cl", seed=2, **options)
    assert caught.value.__notes__ == ["hint: Lower it."]


def test_runs_that_differ_in_the_seed_alone_are_checked_once(monkeypatch, small_data, small_cache):
    checked = []
    monkeypatch.setattr("bench.engine.preflight.check_start", checked.append)
    request = build_request("ast", "patchmix-cl", data=small_data, cache=small_cache, fields=SETTINGS, device="cpu")
    specs = [*resolve_request(request, seeds="1-4"), resolved(small_data, small_cache, epochs=3)]
    check_starts(specs)
    assert [spec.schedule.epochs for spec in checked] == [specs[0].schedule.epochs, 3]


# --- replaying ----------------------------------------------------------------------------------------------------


def never(version, file):
    raise AssertionError("nobody is asked about a spec without plug-ins")


@pytest.fixture
def stored(spec, tmp_path):
    write_json(tmp_path / "spec.json", spec.to_json())
    return tmp_path / "spec.json"


def test_a_spec_is_replayed_as_it_was(spec, stored, small_cache):
    assert replayed_spec(stored, never, cache=small_cache, device="cpu") == spec


def test_a_spec_from_elsewhere_is_run_here(spec, stored, small_data, small_cache, tmp_path):
    document = json.loads(stored.read_text())
    document["execution"] |= {"data": "/elsewhere", "cache": "/elsewhere"}
    write_json(stored, document)
    replayed = replayed_spec(stored, never, data=str(small_data), cache=tmp_path / "cache", device="cpu", processes=2)
    assert (replayed.data, replayed.distribution.processes) == (str(small_data), 2)
    assert Path(replayed.cache) == (tmp_path / "cache").resolve()
    assert replayed.run_id == spec.run_id


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"epochs": 0}, "epochs is 0"),
        ({"numerics": 99}, "numerics"),
        ({"method": "patchmix"}, "patchmix"),
        ({"colour": 1}, "colour"),
        ({"batch": 7.5}, "batch is 7.5"),
    ],
)
def test_a_spec_that_was_edited_is_refused(stored, small_cache, change, said):
    document = json.loads(stored.read_text())
    document["identity"] |= change
    write_json(stored, document)
    with pytest.raises(BenchError, match=said):
        replayed_spec(stored, never, cache=small_cache, device="cpu")


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"identity": []}', '{"identity": {}, "execution": {}}'])
def test_a_file_that_is_no_spec_is_refused(tmp_path, small_cache, content):
    (tmp_path / "spec.json").write_text(content)
    with pytest.raises(BenchError, match=r"spec"):
        replayed_spec(tmp_path / "spec.json", never, cache=small_cache)
