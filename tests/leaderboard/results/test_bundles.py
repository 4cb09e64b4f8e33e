from __future__ import annotations

import hashlib
import json
import os
import shutil
import struct
import zipfile

import pytest
from board_runs import cycle_set, write_run

from bench.core.documents import specs_judged_by
from bench.core.errors import BenchError, ResultError, StoreError
from bench.core.files import temporary_name
from leaderboard.results.bundle_merging import import_bundle
from leaderboard.results.bundle_reading import MANIFEST, open_bundle
from leaderboard.results.bundle_writing import export_bundle
from leaderboard.results.official_part import OfficialPart
from leaderboard.results.run_folder import RunFolder
from leaderboard.results.submissions import Statement, submit
from leaderboard.store.rebuilding import rebuild
from leaderboard.store.store import Store


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


def test_predictions_keep_the_names_that_a_result_gives_them(tmp_path):
    folder = write_run(tmp_path / "there", rules=("last",))
    (folder / "predictions-last.csv").rename(folder / "answers.csv")
    document = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    document["predictions"]["last"] = "answers.csv"
    RunFolder(folder).write(document)
    store = Store.open(tmp_path / "there")
    store.import_run(folder)
    export_bundle(store, tmp_path / "b.zip")
    here = Store.open(tmp_path / "here")
    assert import_bundle(tmp_path / "b.zip", tmp_path / "here", here).new == (folder.name,)
    assert (tmp_path / "here" / "runs" / folder.name / "answers.csv").exists()


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
    assert (manifest["format"], manifest["version"], manifest["written_by"]) == ("lungbench bundle", 2, "0.1.0")
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
    "newer": (edit_manifest(version=99), "has the form 99, but this lungbench reads up to 2"),
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


def edited(change, ending="result.json"):
    """A forger's change of a document, with hashes that fit, the digest of its run included."""

    def rewrite(members):
        name = first(members, ending)
        content = change(members[name])
        return with_hashes({**members, name: content})

    return rewrite


def edited_document(change):
    def rewrite(content):
        document = json.loads(content)
        change(document)
        return json.dumps(document).encode()

    return edited(rewrite)


def replaced(old, new):
    return edited(lambda content: content.replace(old, new))


def unreferenced(members):
    manifest = json.loads(members[MANIFEST])
    return {**members, MANIFEST: json.dumps({**manifest, "runs": manifest["runs"][1:]}).encode()}


HOSTILE = {
    **{
        f"form {version!r}": (edit_manifest(version=version), "its form is")
        for version in ("1", None, -1, 0, True, 1.0, [1], {})
    },
    "no form": (
        lambda m: {
            **m,
            MANIFEST: json.dumps({k: v for k, v in json.loads(m[MANIFEST]).items() if k != "version"}).encode(),
        },
        "its form is None",
    ),
    **{
        f"schema {schema!r}": (edited_document(lambda d, schema=schema: d.update(schema=schema)), "schema is")
        for schema in ("1", None, -1, True, 1.0)
    },
    "id of another spec": (edited_document(lambda d: d["spec"].update(lr=0.1)), "but that of its spec is"),
    "seed of another run": (edited_document(lambda d: d["spec"].update(seed=77)), "but that of its spec is"),
    "id in the manifest no text": (
        edit_manifest(runs=[{"run_id": 5, "digest": "0" * 64, "cycles": None}]),
        "names the run 5",
    ),
    "id in the manifest a list": (
        edit_manifest(runs=[{"run_id": [], "digest": "0" * 64, "cycles": None}]),
        "names the run []",
    ),
    "digest no hash": (edit_manifest(runs=[{"run_id": "0" * 16, "digest": 7, "cycles": None}]), "gives run"),
    "members of no run": (unreferenced, "is of no run"),
    "hash of a member no object": (
        lambda m: {
            **m,
            MANIFEST: json.dumps({**json.loads(m[MANIFEST]), "files": {n: 5 for n in m if n != MANIFEST}}).encode(),
        },
        "has not the hash",
    ),
    "NaN in the spec": (replaced(b"5e-05", b"NaN"), "lr is nan"),
    "infinity in provenance": (replaced(b'"a CPU"', b"Infinity"), "cpu is inf"),
    "large float": (replaced(b'"a CPU"', b"1e400"), "cpu is inf"),
    "NaN in an extra field": (
        edited(lambda c: c.replace(b'"schema": 1', b'"extra": [NaN], "schema": 1')),
        "extra is nan",
    ),
    "half a pair": (replaced(b'"a CPU"', b'"\\ud800"'), "half a surrogate pair"),
    "half a pair in a name": (replaced(b'"cpu"', b'"\\ud800"'), "half a surrogate pair"),
    "NUL": (replaced(b'"a CPU"', b'"a\\u0000b"'), "NUL"),
    "name twice": (replaced(b'"cpu"', b'"gpus"'), "names 'gpus' twice"),
    "5,000 digits": (replaced(b'"a CPU"', b"1" * 5000), "is not a JSON document"),
    "beyond 64 bits": (replaced(b'"a CPU"', b"1" * 30), "beyond 64 bits"),
    "nested": (replaced(b'"a CPU"', b"[" * 200 + b"]" * 200), "nested too deeply"),
    "nested far": (edited(lambda _: b"[" * 200_000), "nested too deeply"),
    "nested manifest": (lambda m: {**m, MANIFEST: b"[" * 200_000}, "nested too deeply"),
    "many values": (lambda m: {**m, MANIFEST: b"[" + b"0," * 5_000_000 + b"0]"}, "bytes would become"),
    "space a list": (
        edited_document(lambda d: d.update(study={"name": "s", "objective": "val", "role": "final", "space": [1]})),
        "space is [1]",
    ),
    "trials a text": (
        edited_document(lambda d: d.update(study={"name": "s", "objective": "val", "role": "final", "gpu_hours": "x"})),
        "gpu_hours is 'x'",
    ),
    "study null": (edited_document(lambda d: d.update(study=None)), "study is None"),
    "system a number": (edited_document(lambda d: d["spec"].update(system=5)), "system is 5"),
    "options a list": (edited_document(lambda d: d["spec"].update(method_options=[])), "method_options is []"),
    "partial hidden": (edited_document(lambda d: d["spec"].update(partial="partial (1 of 920)")), "partial is None"),
    "epoch twice": (edited_document(lambda d: d["epochs"].append(d["epochs"][0])), "stands twice"),
    "epoch beyond 32 bits": (
        edited_document(lambda d: d["epochs"][0].update(epoch=2**31)),
        "but must be at most 2,147,483,647",
    ),
    "epoch negative": (edited_document(lambda d: d["epochs"][0].update(epoch=-1)), "but must be at least 1"),
    "long model": (edited_document(lambda d: d["spec"].update(model="x" * 300)), "300 characters"),
    "file elsewhere": (edited_document(lambda d: d["predictions"].update(last="result.json")), "the header is"),
    "hidden file": (edited_document(lambda d: d["predictions"].update(last=".profile")), "must be the name of a file"),
    "simulated as ICBHI": (
        lambda m: with_hashes({**m, first(m, ".csv"): m[first(m, ".csv")].replace(b",101,", b",501,")}),
        "are not of ICBHI 2017, first '501'",
    ),
    "no scores": (edited(lambda content: content.replace(b"recording", b"who"), "last.csv"), "the header is"),
    "control characters": (
        edited(lambda content: content.replace(b"_Meditron,", b"_\x1b[2J,", 1), "last.csv"),
        "control character",
    ),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_bundle_is_refused_before_anything_is_written(bundle, tmp_path, kind):
    change, word = HOSTILE[kind]
    with pytest.raises(StoreError) as caught:
        merge(rewritten(bundle, change), tmp_path / "here")
    assert word in caught.value.message
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 700
    assert not (tmp_path / "here").exists()


def test_what_submissions_say_of_themselves_is_their_id(there, tmp_path):
    (folder,) = (path for path in (there / "submissions").iterdir() if path.is_dir())
    for change in ({"system": "theirs"}, {"seed": 2}):
        document = json.loads((folder / "result.json").read_text())
        document["spec"].update(change)
        (folder / "result.json").write_text(json.dumps(document))
        assert "that of the submitted predictions is" in rebuild(there).broken[folder.name]


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_members_are_stored_or_deflated(bundle, tmp_path, method):
    with zipfile.ZipFile(bundle) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(bundle, "w", zipfile.ZIP_STORED) as archive:
        for name, data in members.items():
            archive.writestr(name, data, method if name.endswith("last.csv") else None)
    with pytest.raises(StoreError, match="is compressed in a way that no bundle is"):
        merge(bundle, tmp_path / "here")


def patch_sizes(bundle, name, announced):
    """Let the list of members announce another size than the member has."""
    content = bytearray(bundle.read_bytes())
    at = content.index(b"PK\x01\x02")
    while content[at + 46 : at + 46 + len(name)] != name.encode():
        at = content.index(b"PK\x01\x02", at + 4)
    content[at + 24 : at + 28] = struct.pack("<I", announced)
    bundle.write_bytes(content)


@pytest.mark.parametrize(("announced", "word"), [(10, "is damaged"), (2**32 - 2, "would have 4,096 MiB")])
def test_a_member_that_announces_another_size_is_refused(bundle, tmp_path, announced, word):
    with zipfile.ZipFile(bundle) as archive:
        name = first(archive.namelist(), "last.csv")
    patch_sizes(bundle, name, announced)
    with pytest.raises(StoreError, match=word):
        merge(bundle, tmp_path / "here")
    assert not (tmp_path / "here").exists()


def test_members_that_lie_over_one_another_are_refused(bundle, tmp_path):
    content = bytearray(bundle.read_bytes())
    at = content.index(b"PK\x01\x02")
    following = content.index(b"PK\x01\x02", at + 4)
    content[following + 42 : following + 46] = content[at + 42 : at + 46]
    bundle.write_bytes(content)
    with pytest.raises(StoreError, match="lie one over another"):
        merge(bundle, tmp_path / "here")


def test_a_list_of_very_many_members_is_not_read(bundle, tmp_path, monkeypatch):
    monkeypatch.setattr("leaderboard.results.bundle_reading.LARGEST_DIRECTORY", 70_000)
    with zipfile.ZipFile(bundle, "a") as archive:
        for number in range(2000):
            archive.writestr(f"cycles/{number:064x}.csv", b"")
    with pytest.raises(StoreError, match="list of members is longer"):
        merge(bundle, tmp_path / "here")


@pytest.mark.parametrize("how", ["pipe", "device"])
def test_a_bundle_that_is_no_file_is_named(tmp_path, how):
    path = tmp_path / "b.zip"
    os.mkfifo(path) if how == "pipe" else path.symlink_to("/dev/zero")
    with pytest.raises(StoreError, match="a pipe or a device"):
        merge(path, tmp_path / "here")


def test_a_bundle_is_not_exported_onto_a_device(there, tmp_path):
    (tmp_path / "b.zip").symlink_to("/dev/zero")
    with pytest.raises(StoreError, match=r"is a device, and nothing is written to it|is no bundle"):
        export_bundle(Store.open(there), tmp_path / "b.zip")


def test_a_link_to_a_bundle_stays_a_link(there, bundle, tmp_path):
    (tmp_path / "link.zip").symlink_to(bundle)
    bundle.unlink()
    export_bundle(Store.open(there), tmp_path / "link.zip")
    assert (tmp_path / "link.zip").is_symlink()
    assert bundle.is_file()


def test_what_killed_processes_left_is_swept(there, bundle, tmp_path):
    here = tmp_path / "here"
    left = here / "runs" / ".0123456789abcdef.import"
    left.mkdir(parents=True)
    (left / "result.json").write_text("{")
    merge(bundle, here)
    assert not left.exists()
    dead = temporary_name(bundle).name.replace(f"-{os.getpid()}-", "-999999999-")
    bundle.with_name(dead).write_bytes(b"half a bundle")
    export_bundle(Store.open(there), bundle)
    assert not bundle.with_name(dead).exists()


def test_nothing_is_placed_where_the_board_cannot_hold_a_run(bundle, tmp_path, monkeypatch):
    def refuse(_store, _results):
        raise ResultError("cannot hold this")

    monkeypatch.setattr(Store, "rehearse", refuse)
    with pytest.raises(ResultError):
        merge(bundle, tmp_path / "here")
    assert folders(tmp_path / "here") == set()


def test_the_judge_of_specs_is_asked_of_every_run_and_of_no_submission(bundle, there, tmp_path):
    asked = []

    def judge(identity):
        asked.append(identity)
        if identity["seed"] == 2:
            raise BenchError("batch is -8, but must be at least 1.")

    with specs_judged_by(judge), pytest.raises(StoreError, match="batch is -8"):
        merge(bundle, tmp_path / "here")
    assert not (tmp_path / "here").exists()
    with specs_judged_by(judge):
        assert len(rebuild(there).broken) == 1
    assert all("system" not in identity for identity in asked)
    assert len(merge(bundle, tmp_path / "here").new) == 4


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
