"""``bench board check`` and ``bench board reference``: what others contribute, and what this project does."""

from __future__ import annotations

import csv
import json
import os
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import hub_server
import pytest
import yaml
from board_runs import write_run
from icbhi_sets import part_of_folder, write_set

from leaderboard.store.store import Store

ROOT = Path(__file__).resolve().parents[3]
WORKFLOW = ROOT / "docs" / "contributing-results" / "submissions.yml"
SHIPPED = ROOT / "docs" / "results" / "sprsound-2022"


@pytest.fixture(autouse=True)
def place(monkeypatch, tmp_path):
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def bundle(bench, tmp_path):
    """Writes a bundle of a run or more."""

    def written(name, *runs):
        home = tmp_path / f"home-of-{name}"
        for fields in runs or ({},):
            Store.open(home).import_run(write_run(home, **fields))
        bench("board", "export", tmp_path / name, "--home", home)
        return tmp_path / name

    return written


@pytest.fixture
def check(bench):
    def checked(*words, code=0):
        done = bench("board", "check", *words, "--format", "json", code=code)
        return json.loads(done.out)["bundles"] if done.out else done.err

    return checked


def test_a_sound_bundle_is_accepted_and_described(bundle, check, tmp_path):
    (found,) = check(bundle("ours.zip", {"seed": 1}, {"seed": 2, "dataset": "demo"}))
    assert (found["accepted"], found["refused"]) == (True, [])
    assert {(run["system"], run["seed"], run["simulated"]) for run in found["runs"]} == {
        ("ast + patchmix-cl", 1, False),
        ("ast + patchmix-cl", 2, True),
    }
    assert sorted(run["run_id"] for run in found["runs"]) == sorted(found["merged"]["new"])
    stored = Store.open(tmp_path / "home-of-ours.zip").result(found["runs"][0]["run_id"]).document["metrics"]
    assert found["runs"][0]["score"] == {rule: stored[rule]["4class"]["score"] for rule in ("last", "best-test")}
    assert not (tmp_path / "home").exists()


def test_what_would_not_be_ranked_is_refused_where_that_is_asked_for(bundle, check, bench):
    ours = bundle("ours.zip", {"dataset": "demo"}, {"partial": "partial (198 of 920)"})
    assert check(ours)[0]["accepted"]
    (found,) = check(ours, "--official", code=3)
    assert len(found["refused"]) == 2
    assert all("would not be ranked" in why for why in found["refused"])
    shown = bench("board", "check", ours, "--official", code=3)
    assert "not accepted, 2 runs" in shown.out
    assert "Not accepted" in shown.err


def test_a_bundle_is_compared_with_the_board_that_it_should_come_to(bundle, check):
    board = bundle("board.zip", {"seed": 1}, {"seed": 2})
    other = bundle("other.zip", {"seed": 1, "salt": 1})
    (found,) = check(other, "--against", board, code=3)
    assert "holds another result" in found["refused"][0]
    assert check(board, "--against", board)[0]["merged"]["new"] == []


def test_a_retracted_run_does_not_come_back(bundle, check, bench, tmp_path):
    ours = bundle("ours.zip")
    run_id = check(ours)[0]["merged"]["new"][0]
    bench("board", "retract", run_id, "--reason", "a bug", "--home", tmp_path / "home-of-ours.zip")
    Store.open(tmp_path / "home-of-ours.zip").import_run(write_run(tmp_path / "home-of-ours.zip", seed=2))
    bench("board", "export", tmp_path / "board.zip", "--home", tmp_path / "home-of-ours.zip")
    (found,) = check(ours, "--against", tmp_path / "board.zip", code=3)
    assert found["refused"] == [f"{run_id} was retracted"]


def test_bundles_that_come_together_are_compared_with_one_another(bundle, check, tmp_path):
    ours, theirs = bundle("a.zip", {"seed": 1}), bundle("b.zip", {"seed": 1, "salt": 1}, {"seed": 2})
    (tmp_path / "broken.zip").write_bytes(b"hello")
    broken, first, second = check(tmp_path / "broken.zip", ours, theirs, code=3)
    assert (broken["accepted"], broken["runs"]) == (False, [])
    assert "broken.zip is no bundle" in broken["refused"][0]
    assert (first["accepted"], len(first["merged"]["new"])) == (True, 1)
    assert "the board holds another result" in second["refused"][0]
    assert len(second["merged"]["new"]) == 1


@pytest.mark.parametrize("damage", ["metrics", "bomb", "path", "cut", "text"])
def test_hostile_and_broken_bundles_are_refused_with_code_3(bundle, bench, tmp_path, damage):
    ours, bad = bundle("ours.zip"), tmp_path / "bad.zip"
    with zipfile.ZipFile(ours) as source, zipfile.ZipFile(bad, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            content = source.read(name)
            if damage == "metrics" and name.endswith("result.json"):
                content = content.replace(b'"seconds": 12.5', b'"seconds": 1.5')
            target.writestr(name, content)
        if damage == "bomb":
            target.writestr("log.json", b" " * 60_000_000)
        if damage == "path":
            target.writestr("../../evil", b"x")
    if damage in ("cut", "text"):
        bad.write_bytes(bad.read_bytes()[:-100] if damage == "cut" else b"hello")
    refused = bench("board", "check", bad, code=3)
    assert "bad.zip" in refused.err
    assert not (tmp_path.parent / "evil").exists()


def test_the_marks_of_a_submission_are_told(bench, check, tmp_path):
    write_set(tmp_path / "data")
    part = part_of_folder(tmp_path / "data")
    with (tmp_path / "p.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([("recording", "cycle", "predicted"), *((*key, 0) for key in part.cycles.keys)])
    words = ("--system", "all normal", "--selection", "last", "--data", tmp_path / "data", "--no-tta")
    bench("board", "submit", tmp_path / "p.csv", *words)
    bench("board", "export", tmp_path / "ours.zip")
    (run,) = check(tmp_path / "ours.zip")[0]["runs"]
    assert (run["kind"], run["system"], run["simulated"], run["official"]) == ("submission", "all normal", True, False)
    assert {"degenerate", "undeclared", "unsigned"} <= set(run["marks"])
    assert "without a key" in run["marks"]["unsigned"]
    assert "unsigned: It was submitted" in bench("board", "check", tmp_path / "ours.zip").out


# --- the workflow -----------------------------------------------------------------------------------------------


def test_the_workflow_has_the_form_of_one_and_few_rights():
    flow = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))
    # YAML 1.1 reads the key `on` as true.
    assert set(flow) == {"name", True, "permissions", "jobs"}
    assert set(flow[True]) == {"pull_request", "push"}
    assert flow["permissions"] == {"contents": "read"}
    for job in flow["jobs"].values():
        assert set(job) == {"if", "runs-on", "timeout-minutes", "steps"}
        assert all(("uses" in step) != ("run" in step) for step in job["steps"])
        # What an attacker names stands in no script: it comes through variables.
        assert not [step for step in job["steps"] if "${{" in step.get("run", "")]


def git(folder, *words):
    named = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", *named, *words], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def repository(bundle, tmp_path):
    """The repository of a board, with a bundle on its main branch; gives it and that commit."""
    folder = tmp_path / "repository"
    (folder / "submissions").mkdir(parents=True)
    git(folder, "init", "-q", "-b", "main")
    bundle("first.zip", {"seed": 1}).rename(folder / "submissions" / "first.zip")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "first")
    return folder, git(folder, "rev-parse", "HEAD")


@pytest.fixture
def checked_by_workflow(repository, tmp_path):
    """Commits what is in the repository and runs the workflow's own script on it."""
    folder, base = repository
    steps = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))["jobs"]["check"]["steps"]
    (script,) = [step["run"] for step in steps if "BASE" in step.get("env", {})]
    command = tmp_path / "bin" / "bench"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m bench "$@"\n')
    command.chmod(command.stat().st_mode | stat.S_IEXEC)

    def run():
        git(folder, "add", "-A")
        git(folder, "commit", "-q", "-m", "submission")
        env = {**os.environ, "BASE": base, "PATH": f"{command.parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
        return subprocess.run(["bash", "-c", script], cwd=folder, env=env, capture_output=True, text=True, check=False)

    return run


def test_the_workflow_checks_what_a_pull_request_adds(repository, checked_by_workflow, bundle):
    folder, _ = repository
    bundle("second.zip", {"seed": 2}).rename(folder / "submissions" / "second.zip")
    done = checked_by_workflow()
    # Made-up cycles are not the official ones.
    assert done.returncode == 3, done.stderr
    assert "submissions/second.zip: not accepted, 1 run" in done.stdout
    assert "would not be ranked" in done.stdout
    assert "first.zip" not in done.stdout


@pytest.mark.parametrize("what", ["link", "change", "other file", "removal"])
def test_the_workflow_refuses_anything_but_new_bundles(repository, checked_by_workflow, what):
    submissions = repository[0] / "submissions"
    if what == "link":
        (submissions / "second.zip").symlink_to("/etc/passwd")
    elif what == "change":
        (submissions / "first.zip").write_bytes(b"other")
    elif what == "removal":
        (submissions / "first.zip").unlink()
    else:
        (submissions / "run.sh").write_text("echo")
    done = checked_by_workflow()
    assert done.returncode == 1
    assert "::error::" in done.stdout


@pytest.fixture
def made_by_workflow(repository, bench, monkeypatch):
    """Runs the script that follows a merge: the shell's part of it in a shell, and each command of it here."""
    folder, _ = repository
    steps = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))["jobs"]["board"]["steps"]
    (script,) = [step["run"] for step in steps if step.get("name") == "Make the board"]

    def run(code=0):
        monkeypatch.chdir(folder)
        monkeypatch.delenv("BENCH_HOME")
        # One argument a line, an empty line after each command.
        noted = 'bench() { printf "%s\\n" "$@" "" >&3; }; exec 3> commands;' + script
        subprocess.run(["bash", "-c", noted], env={**os.environ, "GITHUB_STEP_SUMMARY": "summary"}, check=True)
        assert (folder / "summary").is_file()
        commands = [words.split("\n") for words in (folder / "commands").read_text().rstrip("\n").split("\n\n")]
        return [bench(*words, code=code) for words in (commands[:1] if code else commands)]

    return run


def test_the_workflow_makes_a_board_of_all_bundles_after_a_merge_which_the_hub_takes(
    repository, made_by_workflow, bundle, bench, monkeypatch
):
    folder, _ = repository
    bundle("second.zip", {"seed": 2}).rename(folder / "submissions" / "second.zip")
    imported, _, summary, _ = made_by_workflow()
    assert imported.out.count("1 new, 0 same") == 2
    assert "ast" in summary.out
    steps = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))["jobs"]["board"]["steps"]
    (kept,) = [step["with"]["path"].split() for step in steps if step.get("with", {}).get("name") == "board"]
    assert kept == ["board.zip", "page"]
    assert (folder / "page" / "index.html").is_file()
    ids = {run["run_id"] for run in json.loads(zipfile.ZipFile(folder / "board.zip").read("manifest.json"))["runs"]}
    assert len(ids) == 2
    with hub_server.running() as hub:
        hub_server.use(hub, monkeypatch)
        pushed = json.loads(bench("board", "push", "hf:lab/board", "--home", "results", "--format", "json").out)
    assert set(pushed["merged"]["new"]) == ids


def test_a_merge_of_bundles_that_contradict_each_other_ends_the_workflow(repository, made_by_workflow, bundle):
    bundle("other.zip", {"seed": 1, "salt": 1}).rename(repository[0] / "submissions" / "other.zip")
    (imported,) = made_by_workflow(code=4)
    assert "another result" in imported.out + imported.err


# --- reference results ------------------------------------------------------------------------------------------


def test_the_reference_results_that_are_shipped_are_those_of_the_documentation(bench):
    import lzma

    from bench.api.reference_results import reference_results

    listed = json.loads(bench("board", "reference", "--format", "json").out)["results"]
    assert len(listed) == 16
    for result in reference_results():
        content = lzma.decompress(result.file.read_bytes())
        assert content == (SHIPPED / result.file.name.removesuffix(".xz")).read_bytes()
        head = next(csv.reader(content.decode().splitlines()))
        assert not {"label", "patient"} & set(head)
    assert sum(path.stat().st_size for path in result.file.parent.iterdir()) < 500_000


def test_reference_results_come_onto_a_fresh_board_by_one_command(bench, sprsound_folder, tmp_path):
    entered = json.loads(bench("board", "reference", "sprsound", "--data", sprsound_folder, "--format", "json").out)[
        "results"
    ]
    assert [each["state"] for each in entered] == ["new"] * 16
    page = (SHIPPED.with_suffix(".md")).read_text(encoding="utf-8")
    for each in entered:
        line = next(line for line in page.splitlines() if each["run_id"] in line)
        assert f"| {each['score']['inter']:.2f} |" in line
    rows = json.loads(bench("board", "list", "--format", "json").out)["sections"][0]["rows"]
    assert all(row["name"].startswith("LungBench reference: ") for row in rows)


def test_a_data_set_without_reference_results_is_said(bench):
    refused = bench("board", "reference", "icbhi", code=2)
    assert "printed ones" in refused.err
    assert "sprsound" in refused.err
