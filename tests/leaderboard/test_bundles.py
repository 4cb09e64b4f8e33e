from __future__ import annotations

import hashlib
import json
import shutil
import struct
import zipfile

import pytest
from board_runs import cycle_set, write_run

from leaderboard.bundle_reading import MANIFEST, open_bundle
from leaderboard.bundles import export_bundle, import_bundle
from leaderboard.errors import ResultError, StoreError
from leaderboard.rebuilding import rebuild
from leaderboard.store import Store
from leaderboard.submissions import OfficialPart, Statement, submit


@pytest.fixture
def there(tmp_path):
    """Another machine's results: two runs, a failed one and a submission."""
    home = tmp_path / "there"
    store = Store.open(home)
    for seed in (1, 2):
        store.import_run(write_run(home, seed=seed))
    store.import_run(write_run(home, seed=3, failed="The loss is nan."))
    cycles = cycle_set()
    part = OfficialPart("icbhi", None, cycles, frozenset(), "the test")
    lines = [f"{recording},{cycle},{i % 4}" for i, (recording, cycle) in enumerate(cycles.keys)]
    (tmp_path / "p.csv").write_text("\n".join(["recording,cycle,predicted", *lines]))
    submit(tmp_path / "p.csv", part, Statement(system="ours", selection="best-test"), home, store, {})
    return home


@pytest.fixture
def bundle(there, tmp_path):
    return export_bundle(Store.open(there), tmp_path / "b.zip", written_by="0.1.0").path


def content(home):
    store = Store.open(home)
    return {run.run_id: store.run(run.run_id) for run in store.runs()}


def folders(home):
    return {f"{path.parent.name}/{path.name}" for path in home.glob("*/*") if path.is_dir()}


def merge(bundle, home, **options):
    return import_bundle(bundle, home, Store.open(home), **options)


# --- there and back ---------------------------------------------------------------------------------------------


def test_everything_arrives(there, bundle, tmp_path):
    here = tmp_path / "here"
    done = merge(bundle, here)
    assert sorted(done.new) == sorted(content(there))
    assert (done.same, done.conflicts, done.replaced) == ((), (), ())
    assert content(here) == content(there)
    assert Store.open(here).digests() == Store.open(there).digests()
    assert folders(here) == folders(there)


def test_the_arrived_board_can_be_rebuilt_from_its_folders(there, bundle, tmp_path):
    here = tmp_path / "here"
    merge(bundle, here)
    (here / "leaderboard.sqlite").unlink()
    assert rebuild(here).broken == {}
    assert content(here) == content(there)


def test_importing_twice_changes_nothing(bundle, tmp_path):
    here = tmp_path / "here"
    merge(bundle, here)
    before = {path: path.read_bytes() for path in here.glob("[rs]*/*/*")}
    done = merge(bundle, here)
    assert (done.new, len(done.same), done.conflicts) == ((), 4, ())
    assert {path: path.read_bytes() for path in here.glob("[rs]*/*/*")} == before
    assert len(Store.open(here).runs()) == 4


def test_two_machines_reach_one_board(there, bundle, tmp_path):
    other = tmp_path / "other"
    store = Store.open(other)
    for seed in (2, 9):
        store.import_run(write_run(other, seed=seed))
    second = export_bundle(store, tmp_path / "c.zip").path
    here = tmp_path / "here"
    assert len(merge(bundle, here).new) == 4
    done = merge(second, here)
    assert (len(done.new), len(done.same)) == (1, 1)
    assert content(here) == content(there) | content(other)


def test_cycles_that_runs_share_are_stored_once(bundle):
    with zipfile.ZipFile(bundle) as archive:
        names = archive.namelist()
        manifest = json.loads(archive.read(MANIFEST))
    assert sum(name.startswith("cycles/") for name in names) == 1
    assert {entry["kind"] for entry in manifest["runs"]} == {"run", "submission"}
    assert (manifest["format"], manifest["version"], manifest["written_by"]) == ("lungbench bundle", 1, "0.1.0")
    assert set(manifest["files"]) == set(names) - {MANIFEST}


def test_some_runs_can_be_chosen(there, tmp_path):
    run_id = sorted(path.name for path in (there / "runs").iterdir())[1]
    done = export_bundle(Store.open(there), tmp_path / "one.zip", [run_id[:10], run_id])
    assert done.run_ids == (run_id,)
    assert merge(done.path, tmp_path / "here").new == (run_id,)
    with pytest.raises(ResultError, match="There is no run 'zzz'"):
        export_bundle(Store.open(there), tmp_path / "two.zip", ["zzz"])
    assert not (tmp_path / "two.zip").exists()


def test_a_run_that_lies_there_but_is_not_on_the_board_is_taken_from_there(there, bundle, tmp_path):
    here = tmp_path / "here"
    shutil.copytree(there / "runs", here / "runs")
    assert len(merge(bundle, here).new) == 4
    assert content(here) == content(there)


def test_an_empty_board_makes_no_bundle(tmp_path):
    with pytest.raises(StoreError, match="holds no run to export"):
        export_bundle(Store.open(tmp_path / "none"), tmp_path / "b.zip")
    assert not (tmp_path / "b.zip").exists()


def test_what_is_no_bundle_is_not_overwritten(there, bundle, tmp_path):
    store = Store.open(there)
    with pytest.raises(StoreError, match=r"leaderboard\.sqlite is there already and is no bundle"):
        export_bundle(store, there / "leaderboard.sqlite")
    assert len(store.runs()) == 4
    assert len(export_bundle(store, bundle).run_ids) == 4


# --- conflicts --------------------------------------------------------------------------------------------------


@pytest.fixture
def clash(there, bundle, tmp_path):
    """A board whose run of seed 1 has another result."""
    here = tmp_path / "here"
    folder = write_run(here, seed=1, salt=1)
    (folder / "weights").write_text("mine")
    Store.open(here).import_run(folder)
    return here, folder


def test_a_run_with_another_result_is_kept_and_named(clash, bundle, there):
    here, folder = clash
    mine = content(here)[folder.name]
    done = merge(bundle, here)
    (conflict,) = done.conflicts
    assert conflict.run_id == folder.name
    assert "the board holds another result, finished, 2026-01-02 10:00, last" in conflict.reason
    assert len(done.new) == 3
    assert content(here) == {**content(there), folder.name: mine}


def test_replace_takes_the_bundle_s_and_keeps_the_folder_aside(clash, bundle, there):
    here, folder = clash
    before = (folder / "predictions-last.csv").read_bytes()
    done = merge(bundle, here, replace=True)
    assert (done.replaced, done.conflicts) == ((folder.name,), ())
    assert content(here) == content(there)
    (aside,) = (here / "replaced").iterdir()
    assert (aside / "weights").read_text() == "mine"
    assert (aside / "predictions-last.csv").read_bytes() == before
    assert not (folder / "weights").exists()
    rebuild(here)
    assert content(here) == content(there)


def test_a_run_that_is_running_here_is_left_alone(bundle, there, tmp_path):
    run_id = sorted(path.name for path in (there / "runs").iterdir())[0]
    state = tmp_path / "here" / "runs" / run_id / "checkpoint"
    state.mkdir(parents=True)
    done = merge(bundle, tmp_path / "here")
    assert [conflict.run_id for conflict in done.conflicts] == [run_id]
    assert "without a result" in done.conflicts[0].reason
    assert list(state.parent.iterdir()) == [state]


def test_a_broken_or_other_folder_is_a_conflict(bundle, there, tmp_path):
    here = tmp_path / "here"
    shutil.copytree(there / "runs", here / "runs")
    ids = sorted(path.name for path in (here / "runs").iterdir())
    (here / "runs" / ids[0] / "result.json").write_text("{")
    write_run(here, seed=1, salt=1)
    other = next(i for i in ids if json.loads((there / "runs" / i / "result.json").read_text())["spec"]["seed"] == 1)
    if other == ids[0]:
        (here / "runs" / ids[1] / "result.json").write_text("{")
    reasons = {conflict.run_id: conflict.reason for conflict in merge(bundle, here).conflicts}
    assert len(reasons) == 2
    assert "holds another result" in reasons[other]
    assert any("holds a broken result" in reason for reason in reasons.values())


# --- bundles that are not to be trusted -------------------------------------------------------------------------


def rewritten(bundle, change):
    """The bundle with other members; ``change`` gets and gives names and contents."""
    with zipfile.ZipFile(bundle) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members = change(members)
    with zipfile.ZipFile(bundle, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return bundle


def with_hashes(members):
    """The members with a manifest that fits them: what a forger would write."""
    manifest = json.loads(members[MANIFEST])
    manifest["files"] = {
        name: {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
        for name, data in members.items()
        if name != MANIFEST
    }
    return {**members, MANIFEST: json.dumps(manifest).encode()}


def first(members, ending):
    return next(name for name in sorted(members) if name.endswith(ending))


def edit_manifest(**changes):
    return lambda members: {**members, MANIFEST: json.dumps({**json.loads(members[MANIFEST]), **changes}).encode()}


def cheat(members):
    """Better predictions with hashes that fit: only recomputing the metrics shows it."""
    name = first(members, "predictions-last.csv")
    lines = members[name].decode().splitlines()
    lines[1:] = [",".join([*line.split(",")[:2], "1", "0", "0", "0"]) for line in lines[1:]]
    return with_hashes({**members, name: "\n".join(lines).encode()})


def relabel(members):
    name = first(members, ".csv")
    assert name.startswith("cycles/")
    return with_hashes({**members, name: members[name].replace(b",0,101,", b",1,101,")})


def rename_run(members):
    """A document that speaks of another run than its folder."""
    name = first(members, "result.json")
    run_id = name.split("/")[1]
    return with_hashes({**members, name: members[name].replace(run_id.encode(), b"0" * 16)})


def double_run(members):
    manifest = json.loads(members[MANIFEST])
    return {**members, MANIFEST: json.dumps({**manifest, "runs": manifest["runs"] * 2}).encode()}


FORGED = {
    "changed member": (lambda m: {**m, first(m, "result.json"): b"{}"}, "has not the hash"),
    "member too many": (lambda m: {**m, f"cycles/{'0' * 64}.csv": b""}, "differ in 1 names"),
    "member too few": (lambda m: {n: d for n, d in m.items() if n != first(m, "last.csv")}, "differ in 1 names"),
    "path outside": (lambda m: with_hashes({**m, "../../evil": b"x"}), "holds '../../evil', which no bundle holds"),
    "absolute path": (lambda m: with_hashes({**m, "/etc/evil": b"x"}), "holds '/etc/evil'"),
    "other file": (lambda m: with_hashes({**m, "runs/0123456789abcdef/code.py": b"x"}), "which no bundle holds"),
    "no manifest": (lambda m: {n: d for n, d in m.items() if n != MANIFEST}, "holds no manifest.json"),
    "broken manifest": (lambda m: {**m, MANIFEST: b"{"}, "is not a JSON document"),
    "other manifest": (edit_manifest(format="something else"), "manifest.json is no bundle's"),
    "no runs": (edit_manifest(runs=None), "lacks runs or files"),
    "odd runs": (edit_manifest(runs=[{"run_id": "../x"}]), "a run without id or hash"),
    "run outside": (
        edit_manifest(runs=[{"run_id": "../x", "digest": "0", "cycles": None}]),
        "names the run '../x', but ids have 16 hexadecimal characters",
    ),
    "run twice": (double_run, "names a run twice"),
    "newer": (edit_manifest(version=99), "has the form 99, but this lungbench reads up to 1"),
    "bomb": (lambda m: with_hashes({**m, f"cycles/{'0' * 64}.csv": b"0" * 30_000_000}), "bytes would become"),
    "large member": (lambda m: with_hashes({**m, f"cycles/{'0' * 64}.csv": b"0" * (65 * 2**20)}), "would have 65 MiB"),
    "better predictions": (cheat, "but its predictions give"),
    "other labels": (relabel, "but its predictions give"),
    "other run": (rename_run, "but that of its spec is"),
}


@pytest.mark.parametrize("kind", FORGED)
def test_a_bundle_that_cannot_be_trusted_is_refused_before_anything_is_written(bundle, tmp_path, kind):
    change, word = FORGED[kind]
    with pytest.raises(StoreError) as caught:
        merge(rewritten(bundle, change), tmp_path / "here")
    assert word in caught.value.message
    assert caught.value.hint
    assert caught.value.exit_code == 4
    assert not (tmp_path / "here").exists()
    assert not (tmp_path / "evil").exists()


def test_a_name_that_stands_twice_is_refused(bundle, tmp_path):
    with zipfile.ZipFile(bundle, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr(MANIFEST, b"{}")
    with pytest.raises(StoreError, match="a name stands twice"):
        merge(bundle, tmp_path / "here")


def test_a_truncated_bundle_is_refused(bundle, tmp_path):
    bundle.write_bytes(bundle.read_bytes()[:-500])
    with pytest.raises(StoreError, match="is no bundle"):
        merge(bundle, tmp_path / "here")


def test_flipped_bytes_are_noticed(bundle, tmp_path):
    content = bytearray(bundle.read_bytes())
    content[200:240] = bytes(value ^ 0xFF for value in content[200:240])
    bundle.write_bytes(content)
    with pytest.raises(StoreError, match="is damaged"):
        merge(bundle, tmp_path / "here")


def test_an_encrypted_member_is_refused(bundle, tmp_path):
    content = bytearray(bundle.read_bytes())
    at = content.index(b"PK\x01\x02")
    content[at + 8 : at + 10] = struct.pack("<H", 1)
    bundle.write_bytes(content)
    with pytest.raises(StoreError, match="is damaged"), open_bundle(bundle):
        pass


@pytest.mark.parametrize("name", ["absent.zip", "."])
def test_a_file_that_is_not_there_is_named(tmp_path, name):
    with pytest.raises(StoreError, match="Cannot read"):
        merge(tmp_path / name, tmp_path / "here")
