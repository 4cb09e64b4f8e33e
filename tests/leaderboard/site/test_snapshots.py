from __future__ import annotations

import hashlib
import json
import shutil
from datetime import UTC, datetime

import pytest
from board_runs import write_run

from bench.core.errors import StoreError
from leaderboard.results.bundle_merging import import_bundle
from leaderboard.site.snapshots import BUNDLE, MANIFEST, SUMS, verify_snapshot, write_snapshot
from leaderboard.store.store import Store

WHEN = datetime(2026, 12, 1, 9, 30, tzinfo=UTC)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    home = tmp_path_factory.mktemp("board")
    store = Store.open(home)
    for seed in (1, 2):
        store.import_run(write_run(home, seed=seed))
    return store


@pytest.fixture(scope="module")
def made(store, tmp_path_factory):
    return write_snapshot(store, tmp_path_factory.mktemp("out") / "one", "1.2.3", made=WHEN)


@pytest.fixture
def copy(made, tmp_path):
    return shutil.copytree(made.folder, tmp_path / "copy")


def test_a_snapshot_holds_page_data_and_runs_and_is_dated(made, store, tmp_path):
    assert (made.folder / "page" / "index.html").is_file()
    assert (made.folder / "page" / "data" / "board.csv").is_file()
    assert made.created == "2026-12-01T09:30:00+00:00"
    assert "2026-12-01 09:30 UTC" in (made.folder / "page" / "index.html").read_text()
    other = Store.open(tmp_path)
    import_bundle(made.folder / BUNDLE, tmp_path, other)
    assert other.digests() == store.digests()
    assert set(made.run_ids) == set(store.digests())


def test_every_file_has_its_hash_and_all_of_them_one(made):
    manifest = json.loads((made.folder / MANIFEST).read_text())
    names = {path.relative_to(made.folder).as_posix() for path in made.folder.rglob("*") if path.is_file()}
    assert names == {*manifest["files"], MANIFEST, SUMS}
    lines = [line.split("  ", 1) for line in (made.folder / SUMS).read_text().splitlines()]
    assert {name: digest for digest, name in lines} == {n: f["sha256"] for n, f in manifest["files"].items()}
    for digest, name in lines:
        assert hashlib.sha256((made.folder / name).read_bytes()).hexdigest() == digest
    rest = {name: value for name, value in manifest.items() if name != "sha256"}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"))
    assert hashlib.sha256(text.encode()).hexdigest() == manifest["sha256"] == made.sha256


def test_a_whole_snapshot_is_found_whole_wherever_it_lies(copy, made):
    found = verify_snapshot(copy)
    assert (found.sha256, found.run_ids, found.created) == (made.sha256, made.run_ids, made.created)


def _edit(folder, **changes):
    manifest = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps({**manifest, **changes}))


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda folder: (folder / "page/data/board.csv").write_text("system\n"), "page/data/board.csv was changed"),
        (lambda folder: (folder / BUNDLE).unlink(), "board.zip is missing"),
        (lambda folder: (folder / "page/more.html").write_text("x"), "page/more.html is none of its files"),
        (lambda folder: (folder / "link").symlink_to("README.txt"), "link is none of its files"),
        (lambda folder: (folder / SUMS).unlink(), "SHA256SUMS was changed"),
        (lambda folder: _edit(folder, created="2020-01-01T00:00:00+00:00"), "manifest.json was changed"),
        (lambda folder: _edit(folder, runs=[]), "manifest.json was changed"),
        (lambda folder: _edit(folder, sha256="0" * 64), "manifest.json was changed"),
    ],
)
def test_whatever_was_changed_is_named(copy, spoil, told):
    spoil(copy)
    with pytest.raises(StoreError, match=told):
        verify_snapshot(copy)


@pytest.mark.parametrize("text", [None, "", "[]", "{}", '{"format": "lungbench snapshot", "version": 1}'])
def test_another_folder_is_no_snapshot(tmp_path, text):
    if text is not None:
        (tmp_path / MANIFEST).write_text(text)
    with pytest.raises(StoreError, match="is no snapshot"):
        verify_snapshot(tmp_path)


def test_a_snapshot_is_never_written_over(made, store):
    before = (made.folder / MANIFEST).read_bytes()
    with pytest.raises(StoreError, match="never changed"):
        write_snapshot(store, made.folder, "2")
    assert (made.folder / MANIFEST).read_bytes() == before


def test_what_fails_leaves_nothing(store, tmp_path, monkeypatch):
    with pytest.raises(StoreError, match="no run to export"):
        write_snapshot(Store.open(tmp_path / "none"), tmp_path / "out" / "one", "1")
    monkeypatch.setattr("leaderboard.site.snapshots.export_bundle", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_snapshot(store, tmp_path / "out" / "two", "1")
    assert list((tmp_path / "out").iterdir()) == []
