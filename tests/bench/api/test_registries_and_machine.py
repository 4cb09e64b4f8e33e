"""What there is (models, methods, front-ends), what the machine has, what models cost, and first checks."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from plugin_files import fresh_registries, method_text, write_package, write_plugin

import baselines
import methods
from bench.api import health, measurements, mock_runs, registries
from bench.api.mock_runs import CheckOutcome, MockRun
from bench.core.errors import RegistryError, SpecError
from bench.core.mounts import mount_of
from bench.data.frontends import FRONTENDS
from bench.launch.measurement import MeasurementRequest

KINDS = {"model": baselines.MODELS, "method": methods.METHODS, "frontend": FRONTENDS}


# --- registries ---------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def home_of_its_own(tmp_path, monkeypatch):
    """What is measured is kept in the results folder."""
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "kept"))


@pytest.mark.parametrize("kind", KINDS)
def test_every_entry_is_listed_and_can_be_shown(kind):
    listing = registries.list_entries(kind, ("id", "title"))
    assert [row["id"] for row in listing.rows] == [entry.id for entry in KINDS[kind]]
    assert all(set(row) == {"id", "title", "origin", "version"} for row in listing.rows)
    for row in listing.rows:
        shown = registries.show_entry(kind, row["id"])
        assert {name: shown[name] for name in row} == row
        assert json.loads(json.dumps(shown)).keys() == shown.keys()


@pytest.mark.parametrize("kind", KINDS)
def test_options_are_shown_with_default_limits_and_help(kind):
    for entry in KINDS[kind]:
        shown = registries.show_entry(kind, entry.id)["options"]
        defaults = entry.card.options()
        for name, option in shown.items():
            assert option["default"] == getattr(defaults, name)
            assert option["help"], (entry.id, name)
            value, low, high = option["default"], option["low"], option["high"]
            if isinstance(value, int | float) and not isinstance(value, bool):
                assert low is None or low <= value, (entry.id, name)
                assert high is None or value <= high, (entry.id, name)
            if option["choices"] is not None:
                assert value in option["choices"]


def test_every_weights_file_says_how_it_is_known():
    for entry in baselines.MODELS:
        for name, weights in registries.show_entry("model", entry.id)["weights"].items():
            assert {"md5", "sha256"}.isdisjoint(weights)
            known = entry.card.weights[name]
            expected = known.sha256 or known.md5
            assert weights["hash"].endswith(expected or "compared at every other")


@pytest.mark.parametrize(
    ("kind", "name", "said"),
    [
        ("model", "asst", "did you mean 'ast'"),
        ("method", "patchmix", "did you mean 'patchmix-c"),
        ("frontend", "", "Unknown"),
        ("model", "\x1b[2J", "Unknown model"),
    ],
)
def test_what_there_is_not_is_refused_with_the_nearest(kind, name, said):
    with pytest.raises(RegistryError, match=said) as caught:
        registries.show_entry(kind, name)
    assert "\x1b" not in caught.value.message


def test_where_nothing_is_near_the_list_is_named():
    for kind, command in (("model", "models"), ("method", "methods"), ("frontend", "frontends")):
        with pytest.raises(RegistryError) as caught:
            registries.show_entry(kind, "zzzzzzzz")
        assert f"`bench {command} list` names all" in caught.value.hint
    with pytest.raises(RegistryError) as caught:
        registries.show_entry("method", "patchmix")
    assert caught.value.hint is None


def test_families_say_what_their_prefix_stands_for():
    families = dict(registries.list_entries("model", ("id",)).families)
    assert "timm:" in families["timm"]
    assert registries.show_entry("model", "timm:resnet18")["id"] == "timm:resnet18"


def test_ones_own_method_is_listed_with_its_file(tmp_path):
    plugin = write_plugin(tmp_path / "mine.py")
    with fresh_registries():
        listing = registries.list_entries("method", ("id",), [plugin])
        (row,) = [row for row in listing.rows if row["id"] == "mine"]
        assert "mine.py" in row["origin"]
        assert row["version"]
        assert set(registries.show_entry("method", "mine", [plugin])["options"]) == {"smoothing", "kind"}
    assert "mine" not in {row["id"] for row in registries.list_entries("method", ("id",)).rows}


def test_a_broken_package_is_named_and_hides_nothing(tmp_path, monkeypatch, caplog):
    points = "[lungbench.methods]\nfake = fake_broken:mine\n"
    monkeypatch.syspath_prepend(str(write_package(tmp_path, "fake-broken", points, {"fake_broken": "import no_such"})))
    with fresh_registries(), caplog.at_level("WARNING", "bench"):
        rows = registries.list_entries("method", ("id",)).rows
        found = health.examine_machine(tmp_path, tmp_path, tmp_path)["plug-ins"]
    assert {row["id"] for row in rows} >= {"ce", "patchmix-cl"}
    assert any(message.startswith("not usable: ") and "no_such" in message for message in caplog.messages)
    assert any("no_such" in reason for reason in found["not usable"])


def test_listing_brings_no_torch():
    code = (
        "import sys\n"
        "from bench.api.registries import list_entries, show_entry\n"
        "rows = [list_entries(kind, ('id',)).rows for kind in ('model', 'method', 'frontend')]\n"
        "assert all(rows) and show_entry('model', 'ast')['options']\n"
        "assert not {'torch', 'timm', 'optuna'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


# --- the machine --------------------------------------------------------------------------------------------------


def test_the_machine_is_described_in_plain_values(tmp_path, small_data):
    found = health.examine_machine(tmp_path / "home", small_data, tmp_path / "cache")
    assert json.loads(json.dumps(found)) == found
    disk = {name: found["folders"].pop(name) for name in ("file system", "locks")}
    assert disk == {"file system": f"{mount_of(tmp_path).kind} (of this machine)", "locks": "flock"}
    assert found["folders"] == {
        "results": str(tmp_path / "home"),
        "board": str(tmp_path / "home" / "leaderboard.sqlite"),
        "data": str(small_data),
        "data found": True,
        "cache": str(tmp_path / "cache"),
    }
    assert found["auto"]["profile"] == "demo"
    assert found["auto"]["device"] in ("cpu", "cuda")
    assert list(tmp_path.iterdir()) == []


def test_the_speed_of_the_machine_is_a_section_of_its_own_where_it_is_asked_for(tmp_path, bench):
    words = ("doctor", "--home", tmp_path, "--data", tmp_path, "--cache", tmp_path, "--speed", "--quick")
    found = json.loads(bench(*words, "--format", "json").out)["speed"]
    assert found.pop("device") in ("cpu", "cuda")
    assert "time" in found.pop("clock")
    assert list(found) == [
        *("matrix product fp32, GFLOP/s", "matrix product bf16, GFLOP/s"),
        *("training step fp32, s", "training step bf16, s", "features, cycles/s", "bench --help, s"),
    ]
    assert all(value > 0 for value in found.values())
    # A run in the same process may have either precision after that.
    from accelerate.state import AcceleratorState

    assert AcceleratorState._shared_state == {}


def test_without_data_the_demo_is_what_auto_chooses(tmp_path):
    found = health.examine_machine(tmp_path, tmp_path / "none", tmp_path)
    assert (found["folders"]["data found"], found["auto"]["profile"]) == (False, "demo")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://me:s3cret@localhost/board", "postgresql"),
        ("s3cret", "BENCH_STORE holds no URL."),
        ("nonsense://s3cret@x", ""),
    ],
)
def test_no_password_of_a_board_is_shown(tmp_path, monkeypatch, url, shown):
    monkeypatch.setenv("BENCH_STORE", url)
    found = health.examine_machine(tmp_path, tmp_path, tmp_path)
    assert found["folders"]["board"].startswith(shown)
    assert "s3cret" not in json.dumps(found["folders"]).replace("nonsense://s3cret@x", "")


# --- what models cost ---------------------------------------------------------------------------------------------


@pytest.fixture
def measured(monkeypatch):
    """What is measured; the model cnn6 cannot be."""
    plans = []

    def measure(plan):
        plans.append(plan)
        return {"model": plan.model, "error": "killed by signal 9" if plan.model == "cnn6" else None}

    monkeypatch.setattr(measurements, "measure_apart", measure)
    return plans


def test_models_are_measured_in_the_order_asked_for(measured, caplog):
    with caplog.at_level("INFO", "bench"):
        found = measurements.measure_models(["cnn6", "ast"], batch=2, frames=64, device="cpu", repeats=1)
    assert measured == [
        MeasurementRequest(model=model, batch=2, frames=64, device="cpu", repeats=1) for model in ("cnn6", "ast")
    ]
    assert caplog.messages == ["cnn6 (1 of 2)", "ast (2 of 2)"]
    assert [row["model"] for row in found.to_json()["rows"]] == ["cnn6", "ast"]
    assert found.to_json()["hardware"]["cpu"]


def test_one_that_cannot_be_measured_does_not_stop_the_others(measured):
    found = measurements.measure_models(["cnn6", "ast"], device="cpu")
    assert [row["error"] for row in found.rows] == ["killed by signal 9", None]
    assert found.complete is False
    assert measurements.measure_models(["ast"], device="cpu").complete is True


def test_all_models_are_measured_where_none_is_named(measured):
    measurements.measure_models(device="cpu")
    assert [plan.model for plan in measured] == [entry.id for entry in baselines.MODELS]


@pytest.mark.parametrize(
    ("ids", "options", "error", "said"),
    [
        (["ast", "asst"], {}, RegistryError, "did you mean 'ast'"),
        (["ast"], {"batch": 0}, SpecError, "batch is 0"),
        (["ast"], {"batch": 100_001}, SpecError, "batch is 100001"),
        (["ast"], {"frames": 0}, SpecError, "frames is 0"),
        (["ast"], {"repeats": 1001}, SpecError, "repeats is 1001"),
        (["ast"], {"batch": 1.5}, SpecError, "batch is 1.5"),
        (["ast"], {"device": "tpu"}, SpecError, "tpu"),
    ],
)
def test_what_cannot_be_measured_is_refused_before_anything_is(measured, ids, options, error, said):
    with pytest.raises(error, match=said):
        measurements.measure_models(ids, **{"device": "cpu", **options})
    assert measured == []


# --- the first check of something new -----------------------------------------------------------------------------


def outcome(status):
    return CheckOutcome("forward", "the model computes", status, "a reason", 0.5)


@pytest.mark.parametrize(
    ("statuses", "passed"),
    [((), True), (("passed",), True), (("passed", "skipped"), True), (("passed", "failed", "skipped"), False)],
)
def test_only_a_failed_check_fails_the_whole(statuses, passed):
    run = MockRun("ast", "ce", [outcome(status) for status in statuses])
    assert run.passed is passed
    document = run.to_json()
    assert (document["passed"], document["simulated"]) == (passed, True)
    assert [check["status"] for check in document["checks"]] == list(statuses)
    assert json.loads(json.dumps(document)) == document


def test_what_is_asked_for_reaches_the_checks(monkeypatch):
    asked = []

    def checks(model, method, plugins, on_outcome, *, frontend, dataset, task):
        asked.append((model, method, plugins, frontend, dataset, task))
        on_outcome(outcome("passed"))
        return [outcome("passed")]

    monkeypatch.setattr(mock_runs.checks, "mock_run", checks)
    seen = []
    assert (
        mock_runs.mock_run(
            frontend="scl", dataset="demo", task="cycle-4", plugins=("p.py",), on_outcome=seen.append
        ).checks
        == seen
    )
    assert asked == [("ast", "ce", ("p.py",), "scl", "demo", "cycle-4")]


@pytest.mark.parametrize(
    ("words", "error", "said"),
    [
        ({"model": "asst"}, RegistryError, "did you mean 'ast'"),
        ({"method": "cee"}, RegistryError, "did you mean 'ce'"),
        ({"frontend": "asst"}, RegistryError, "did you mean 'ast'"),
        ({"plugins": ["none.py"]}, SpecError, r"none\.py"),
    ],
)
def test_what_is_not_there_is_not_checked(words, error, said):
    with pytest.raises(error, match=said):
        mock_runs.mock_run(**words, on_outcome=lambda one: pytest.fail(str(one)))


def test_a_method_that_breaks_fails_its_check_and_skips_what_builds_on_it(tmp_path):
    plugin = write_plugin(tmp_path / "mine.py", method_text(forward="raise ValueError('no idea')"))
    seen = []
    with fresh_registries():
        found = mock_runs.mock_run("ast", "mine", plugins=[plugin], on_outcome=seen.append)
    assert not found.passed
    assert seen == found.checks
    failed = next(check for check in found.checks if check.status == "failed")
    assert "no idea" in failed.reason
    assert any(check.status == "skipped" and check.reason.startswith("needs ") for check in found.checks)
