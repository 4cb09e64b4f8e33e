"""The pages of ``docs/`` that hold code: it is taken from there and run."""

import dataclasses
import json
import re
import tomllib
from pathlib import Path

import pytest
from plugin_files import fresh_registries, write_package

from bench import plugins
from bench.mock.checks import CHECKS
from bench.mock.run import mock_run
from methods.base import Batch

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = (DOCS / "extending.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"<!-- file: (\S+) -->\n```python\n(.*?)```", PAGE, re.DOTALL))
METHOD, MODEL = "smooth_ce.py", "convnext.py"
STAGED, INPUTS = "head_first.py", "two_inputs.py"


@pytest.fixture(autouse=True)
def _forget():
    with fresh_registries():
        yield


@pytest.fixture
def folder(tmp_path, small_cache, monkeypatch):
    """A folder with the page's files, and places of its own for whatever its commands write."""
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("BENCH_CACHE", str(small_cache))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def page_commands(first_words):
    """The lines of the page's shell blocks that begin with some words, as words."""
    blocks = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    lines = [line.partition("#")[0].split() for block in blocks for line in block.splitlines()]
    return [line[1:] for line in lines if line[: len(first_words)] == first_words]


def test_a_method_and_a_model_take_under_30_lines_each():
    assert set(FILES) == {METHOD, MODEL, STAGED, INPUTS}
    for name in (METHOD, MODEL):
        assert len(FILES[name].splitlines()) < 30, name


@pytest.mark.slow
def test_the_method_of_the_page_passes_every_check(folder, bench):
    words = page_commands(["bench", "mock-run"])[0]
    assert METHOD in words
    document = json.loads(bench(*words, "--format", "json").out)
    assert document["passed"] is True
    assert [(check["check"], check["status"]) for check in document["checks"]] == [
        (check.name, "passed") for check in CHECKS
    ]


def passes_the_checks_of_one_process(folder, file, model, method):
    checks = [check for check in CHECKS if check.name != "processes"]
    found = mock_run(model, method, [folder / file], checks=checks)
    assert [(outcome.check, outcome.status) for outcome in found] == [(check.name, "passed") for check in checks]


def test_the_model_of_the_page_passes_the_checks_of_one_process(folder):
    words = page_commands(["bench", "mock-run"])[1]
    assert words == ["mock-run", "--plugin", MODEL, "--model", "convnext-atto"]
    passes_the_checks_of_one_process(folder, MODEL, "convnext-atto", "ce")


def test_the_staged_method_of_the_page_passes_the_checks_of_one_process(folder):
    words = page_commands(["bench", "mock-run"])[2]
    assert words == ["mock-run", "--plugin", STAGED, "--method", "head-first"]
    passes_the_checks_of_one_process(folder, STAGED, "ast", "head-first")


def test_the_inputs_of_the_page_pass_the_checks_of_one_process(folder):
    words = page_commands(["bench", "mock-run"])[3]
    assert words == ["mock-run", "--plugin", INPUTS, "--model", "two-branches"]
    passes_the_checks_of_one_process(folder, INPUTS, "two-branches", "ce")


def test_both_together_train_on_noisy_waveforms(folder, bench, small_data):
    words = page_commands(["bench", "run"])[2]
    quick = ("--epochs", "1", "--set", "head_epochs=1", "--set", "batch=4")
    document = json.loads(bench(*words, *quick, "--data", small_data, "--format", "json").out)
    assert document["status"] == "finished"
    assert document["spec"]["noise_probability"] == 0.5
    assert set(document["epochs"][-1]["losses"]) == {"bce", "pull"}
    weights = folder / "home" / "runs" / document["run_id"] / "weights"
    assert (weights / "stage-1.safetensors").is_file()
    assert (weights / "last.method.safetensors").is_file()
    assert (weights.parent / "frontend.safetensors").is_file()


def test_the_table_of_names_is_complete():
    (table,) = re.findall(r"## Where the names are\n.*?\n\n(\|.*?)\n\n", PAGE, re.DOTALL)
    assert set(re.findall(r"`(\w+)`", table)) == set(plugins.__all__)


def test_the_table_of_a_batch_names_its_fields():
    (table,) = re.findall(r"## What a batch holds\n\n(.*?)\n\n", PAGE, re.DOTALL)
    named = set(re.findall(r"`([a-z_]+)(?:\(x\))?`", "".join(line.split("|")[1] for line in table.splitlines())))
    assert named - {"batch"} == {field.name for field in dataclasses.fields(Batch)}


def test_the_card_of_the_page_is_shown(folder, bench):
    text = bench(*page_commands(["bench", "methods", "show"])[0]).out
    assert "Smoothed CE" in text
    assert "float, 0 to 1" in text


@pytest.mark.parametrize("number", [0, 1])
def test_the_runs_of_the_page_resolve(folder, bench, small_data, number):
    words = page_commands(["bench", "run"])[number]
    document = json.loads(bench(*words, "--data", small_data, "--dry-run", "--format", "json").out)
    assert list(document["identity"]["extensions"]) == [["method"], ["model"]][number]


def test_the_package_of_the_page_is_found(folder, bench, monkeypatch):
    table = tomllib.loads(re.search(r"```toml\n(.*?)```", PAGE, re.DOTALL)[1])
    points = table["project"]["entry-points"]["lungbench.methods"]
    assert points == {"smooth-ce": "my_package.cards:smooth_ce"}
    site = write_package(
        folder / "site", "my-package", "[lungbench.methods]\nsmooth-ce = my_package.cards:smooth_ce\n", {}
    )
    (site / "my_package").mkdir()
    (site / "my_package" / "cards.py").write_text(FILES[METHOD], encoding="utf-8")
    monkeypatch.syspath_prepend(site)
    rows = {row["id"]: row for row in json.loads(bench("methods", "list", "--format", "json").out)}
    assert rows["smooth-ce"]["version"] == "my-package==1.0"


def test_what_the_pages_name_exists():
    root = DOCS.parent
    for page in DOCS.rglob("*.md"):
        for name in re.findall(r"`((?:bench|methods|baselines|docs|tests)/[\w/.-]+\.(?:py|md))`", page.read_text()):
            assert (root / name).is_file(), f"{page.name} names {name}"
