"""``bench push`` and what opens from the Hub: a real client, and a server of the test's own that speaks its routes."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import shutil

import hub_server
import pytest
from children_sets import write_children
from cli_runs import bench_here, environment
from hub_server import READS, WRITES
from small_runs import SETTINGS, small_run

PLACE = "hf:lab/net"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def run(small_data, small_cache, home):
    return small_run(small_data, small_cache, home)


@pytest.fixture(scope="module")
def children(tmp_path_factory):
    return write_children(tmp_path_factory.mktemp("children"))


@pytest.fixture
def push(told, run, home):
    def pushed(*words, code=0, to=PLACE):
        return told("push", run.id[:8], "--to", to, "--home", home, *words, code=code)

    return pushed


def said(done):
    return " ".join(done.err.split())


# --- what is sent -----------------------------------------------------------------------------------------------


def test_a_run_is_pushed_in_one_commit_with_hashes_and_nothing_of_the_machine(hub, push, run, home, small_data):
    document = json.loads(push("--format", "json", "--private", "--message", "the small one").out)
    there = hub.repositories["model", "lab/net"]
    assert there.messages == ["initial commit", "the small one"]
    assert there.private
    assert (document["run_id"], document["state"], document["private"]) == (run.id, "pushed", True)
    assert document["revision"] == there.branches["main"]
    files = {name: content for name, content in there.files.items() if name != ".gitattributes"}
    assert document["files"] == {name: len(content) for name, content in files.items()}
    assert set(files) == {
        *("README.md", "manifest.json", "spec.json", "result.json", "test-cycles.csv"),
        *("predictions-last.csv", "predictions-best-test.csv"),
        *(f"weights/{name}.safetensors" for name in ("last", "best-test", "last.method", "best-test.method")),
    }
    for name in ("weights/last.safetensors", "predictions-last.csv", "test-cycles.csv"):
        assert files[name] == (run.folder / name).read_bytes()
    hashes = json.loads(files["manifest.json"])["files"]
    assert hashes == {
        name: {"sha256": hashlib.sha256(files[name]).hexdigest(), "bytes": len(files[name])}
        for name in set(files) - {"manifest.json", "README.md"}
    }
    for name, content in files.items():
        assert not [place for place in (home, small_data) if str(place).encode() in content], name
    assert json.loads(files["result.json"])["execution"]["data"] == ""
    assert b"simulated" in files["README.md"]
    assert b"bench predict hf:lab/net recording.wav" in files["README.md"]


def test_a_dry_run_lists_the_files_and_asks_nobody(hub, push, run):
    listed = push("--dry-run")
    assert "(nothing was sent)" in listed.out
    assert f"{(run.folder / 'weights' / 'last.safetensors').stat().st_size:,}  weights/last.safetensors" in listed.out
    assert "under the terms of the data set" in said(listed)
    assert hub.requests == []


def test_pushing_the_same_again_changes_nothing(hub, push):
    push()
    there = hub.repositories["model", "lab/net"]
    commit, uploads = there.branches["main"], hub.asked("PUT", "/storage/")
    again = push()
    assert "already; nothing was changed" in again.out
    assert (there.branches["main"], hub.asked("PUT", "/storage/")) == (commit, uploads)


def test_labels_are_left_out_and_taken_back_where_that_is_asked_for(hub, push, told, tmp_path):
    push()
    told_without = push("--no-labels")
    assert "labels" not in told_without.err
    assert "test-cycles.csv" not in hub.repositories["model", "lab/net"].files
    refused = told("board", "import", PLACE, "--home", tmp_path / "elsewhere", code=4)
    assert "pushed without the labels" in said(refused)


def test_a_branch_is_made_and_the_main_one_left_alone(hub, push, told, tmp_path):
    hub.make("model", "lab/net")
    push(to=f"{PLACE}@small")
    there = hub.repositories["model", "lab/net"]
    assert "result.json" not in there.files
    assert "1 new" in told("board", "import", f"{PLACE}@small", "--home", tmp_path / "elsewhere").out


def test_another_run_and_files_of_others_are_not_written_over(hub, push, run):
    hub.make("model", "lab/net", {"model.bin": b"other"})
    assert "holds 1 file that `bench push` did not write" in said(push(code=2))
    hub.make("model", "lab/net", {"manifest.json": b'{"format": "lungbench run", "run_id": "0123456789abcdef"}'})
    assert "holds the run 0123456789abcdef" in said(push(code=2))
    push("--replace")
    assert json.loads(hub.repositories["model", "lab/net"].files["manifest.json"])["run_id"] == run.id


def test_a_public_repository_is_not_taken_for_a_private_one(hub, push):
    hub.make("model", "lab/net")
    assert "is public already" in said(push("--private", code=2))


def test_another_commit_in_between_is_not_lost(hub, push):
    there = hub.make("model", "lab/net")
    hub.before_commit = lambda: there.commit("main", {**there.files, "notes.txt": b"mine"}, "notes")
    assert "was changed by somebody else in the meantime" in said(push(code=3))
    assert there.files["notes.txt"] == b"mine"
    assert "result.json" not in there.files


# --- who may not, and where nobody answers ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("token", "message", "hint"),
    [
        ("hf_" + "x" * 34, "does not take your token (status 401)", "hf auth login"),
        (READS, "may not do this (status 403)", "right to write"),
        (None, "does not take your token (status 401)", "hf auth login"),
    ],
)
def test_who_may_not_write_is_told_what_to_do(hub, push, monkeypatch, token, message, hint):
    hub_server.use(hub, monkeypatch, token)
    refused = push(code=3)
    assert message in said(refused)
    assert hint in said(refused)
    assert token is None or token not in refused.err
    assert hub.repositories == {}


def test_a_push_that_failed_goes_on_where_it_stopped(hub, push):
    hub.refused_commits = 1
    assert "what was transferred already is not transferred twice" in said(push(code=3))
    uploads = hub.asked("PUT", "/storage/")
    assert uploads > 0
    push()
    assert hub.asked("PUT", "/storage/") == uploads


def test_a_traceback_holds_no_token(hub, run, home, small_cache, monkeypatch):
    wrong = "hf_" + "x" * 34
    hub_server.use(hub, monkeypatch, wrong)
    done = bench_here("--debug", "push", run.id, "--to", PLACE, env=environment(home, small_cache), code=3)
    assert "Traceback" in done.stderr
    assert wrong not in done.stdout + done.stderr


def test_a_hub_with_trouble_is_said(hub, push, told, monkeypatch):
    hub.down = True
    assert "answers with status 503" in said(push(code=3))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE is set" in said(push(code=3))


@pytest.mark.parametrize("odd", [b"[]", b"{}", b"<html>", b'{"id": "lab/net", "sha": "../..", "siblings": []}'])
def test_what_speaks_otherwise_than_a_hub_is_a_sentence(hub, push, told, tmp_path, odd):
    hub.odd = odd
    message = "its commit is '../..'" if b"sha" in odd else "what answers speaks otherwise than the Hub"
    assert message in said(push(code=3))
    assert message in said(told("board", "import", PLACE, "--home", tmp_path / "home", code=3))


@pytest.mark.parametrize("to", ["lab/net", "hf:net", "hf:lab/net/file", "hf:lab/../x", "hf:lab/net@-x", "hf:"])
def test_what_names_no_repository_is_seen_before_anybody_is_asked(hub, push, to):
    assert "names no repository on the Hub" in said(push(code=2, to=to))
    assert hub.requests == []


# --- what opens from there --------------------------------------------------------------------------------------


def test_a_pushed_run_is_judged_elsewhere_with_equal_scores(
    hub, push, told, run, home, children, small_cache, tmp_path
):
    push()
    words = ("--dataset", "sprsound", "--task", "event-2", "--data", children, "--device", "cpu", "--allow-partial")
    here = told("evaluate", run.id, *words, "--home", home, "--cache", small_cache, "--format", "json")
    there = told("evaluate", PLACE, *words, "--home", tmp_path / "elsewhere", "--format", "json")
    mine, theirs = json.loads(here.out), json.loads(there.out)
    assert theirs["metrics"] == mine["metrics"]
    assert (theirs["run_id"], theirs["transfer_id"]) == (run.id, mine["transfer_id"])


def test_a_pushed_run_predicts_elsewhere_what_it_predicted_here(hub, push, told, run, home, small_data, tmp_path):
    push()
    sounds = sorted(str(path) for path in small_data.rglob("201*.wav"))
    here = told("predict", run.id, *sounds, "--home", home, "--device", "cpu", "--format", "csv")
    there = told("predict", PLACE, *sounds, "--home", tmp_path / "elsewhere", "--device", "cpu", "--format", "csv")
    assert there.out == here.out
    kept = {
        row["cycle"]: row
        for row in csv.DictReader((run.folder / "predictions-last.csv").open())
        if row["recording"].startswith("201")
    }
    found = list(csv.DictReader(io.StringIO(there.out)))
    assert len(found) == len(kept) == 4
    for row in found:
        assert float(row["crackle"]) == pytest.approx(float(kept[row["cycle"]]["crackle"]), abs=1e-5)


def test_the_card_of_a_pushed_run_is_read_in_the_cache_that_is_named(hub, push, told, run, tmp_path):
    push()
    named = tmp_path / "named"
    assert run.id in told("export", PLACE, "--format", "card", "--cache", named, "--home", tmp_path / "there").out
    assert (named / "hub").is_dir()
    assert not (tmp_path / "cache" / "hub").exists()


def test_weights_of_a_pushed_run_start_a_training(hub, push, run, small_data, small_cache, home):
    import bench as library

    push()
    where = {"data": small_data, "cache": small_cache, "home": home, "device": "cpu", "settings": SETTINGS}
    spec = library.resolve("ast", "ce", pretrain=f"{PLACE}:best-test", **where)
    expected = hashlib.sha256((run.folder / "weights" / "best-test.safetensors").read_bytes()).hexdigest()
    assert spec.weights_sha256 == expected
    started = library.resolve("ast", "ce", init_from=PLACE, **where)
    assert started.init_from == f"{run.id}:last"


def test_a_pushed_run_comes_onto_another_board_and_is_the_same_on_its_own(hub, push, told, run, home, tmp_path):
    push()
    elsewhere = tmp_path / "elsewhere"
    assert "1 new, 0 same" in told("board", "import", PLACE, "--home", elsewhere).out
    shown = json.loads(told("board", "show", run.id, "--home", elsewhere, "--format", "json").out)
    assert shown["metrics"] == run.metrics
    assert "0 new, 1 same" in told("board", "import", PLACE, "--home", home).out


def test_what_was_fetched_once_needs_no_network(hub, push, told, tmp_path, monkeypatch):
    push()
    elsewhere = tmp_path / "elsewhere"
    told("board", "import", PLACE, "--home", elsewhere)
    commit = hub.repositories["model", "lab/net"].branches["main"]
    downloads = hub.asked("GET", "/resolve/")
    told("board", "import", PLACE, "--home", elsewhere)
    assert hub.asked("GET", "/resolve/") == downloads
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    done = told("board", "import", f"{PLACE}@{commit}", PLACE, "--home", elsewhere)
    assert "is taken from the cache" in said(done)
    assert done.out.count("0 new, 1 same") == 2
    missing = told("board", "import", "hf:lab/other", "--home", elsewhere, code=3)
    assert "HF_HUB_OFFLINE is set" in said(missing)
    assert "copy the cache folder here" in said(missing)


def test_files_that_were_cut_short_are_fetched_again(hub, push, told, tmp_path):
    push()
    hub.cuts = 2
    assert "1 new" in told("board", "import", PLACE, "--home", tmp_path / "elsewhere").out
    assert hub.cuts == 0


def test_a_file_that_was_changed_on_the_hub_is_refused(hub, push, told, tmp_path):
    push()
    there = hub.repositories["model", "lab/net"]
    weights = there.files["weights/last.safetensors"]
    there.commit("main", {**there.files, "weights/last.safetensors": weights[:-1] + b"\0"}, "tampered")
    refused = told("board", "import", PLACE, "--home", tmp_path / "elsewhere", code=3)
    assert "weights/last.safetensors has not the hash that manifest.json gives" in said(refused)
    there.commit(
        "main", {**there.files, "weights/last.safetensors": weights, "README.md": b"---\n---\nmy words"}, "card"
    )
    assert "1 new" in told("board", "import", PLACE, "--home", tmp_path / "elsewhere").out


def test_a_file_that_no_hash_is_given_of_and_a_result_of_another_run_are_refused(hub, push, told, tmp_path):
    push()
    there = hub.repositories["model", "lab/net"]
    manifest, files = json.loads(there.files["manifest.json"]), there.files
    del manifest["files"]["weights/last.safetensors"]
    there.commit("main", {**files, "manifest.json": json.dumps(manifest).encode()}, "unnamed")
    words = ("board", "import", PLACE, "--home", tmp_path / "elsewhere")
    assert "manifest.json does not name weights/last.safetensors" in said(told(*words, code=3))
    other = {**json.loads(files["manifest.json"]), "run_id": "0" * 16}
    there.commit("main", {**files, "manifest.json": json.dumps(other).encode()}, "another run")
    assert "manifest.json is that of the run 0000000000000000, but result.json is that of" in said(told(*words, code=3))


@pytest.mark.parametrize(
    ("name", "token", "message"),
    [
        ("hf:lab/missing", WRITES, "The Hub has no model repository hf:lab/missing, or none that your token may see"),
        ("hf:lab/missing", None, "or none for those who are not logged in"),
        ("hf:lab/private", None, "or none for those who are not logged in. hint: Check its name. Log in with"),
        ("hf:lab/gated", READS, "hf:lab/gated is gated: its owner has to let you in. hint: Ask for access"),
        ("hf:lab/open@v9", READS, "hf:lab/open has no revision 'v9'"),
        ("hf:lab/open", READS, "is no run that `bench push` wrote: it has no manifest.json"),
        ("hf:lab/open", "hf_" + "x" * 34, "The Hub does not take your token (status 401)"),
    ],
)
def test_what_cannot_be_fetched_says_why_and_what_to_do(hub, told, tmp_path, monkeypatch, name, token, message):
    hub.make("model", "lab/private", private=True)
    hub.make("model", "lab/gated", gated=True)
    hub.make("model", "lab/open", {"config.json": b"{}"})
    hub_server.use(hub, monkeypatch, token)
    refused = told("board", "import", name, "--home", tmp_path / "home", code=3)
    assert message in said(refused)
    assert token is None or token not in refused.err
    assert not list((tmp_path / "home").rglob("result.json"))


def test_a_run_without_weights_is_not_pushed(hub, told, run, tmp_path):
    folder = tmp_path / run.id
    shutil.copytree(run.folder, folder)
    shutil.rmtree(folder / "weights")
    assert "keeps no weights" in said(told("push", folder, "--to", PLACE, code=2))
    assert hub.requests == []
