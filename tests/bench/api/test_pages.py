"""Snapshots and pages by the API: every byte is checked, and nothing that is there is replaced."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from datetime import datetime

import pytest
from board_runs import write_run

from bench.api import exchange, pages
from bench.api.boards import open_board
from bench.core.errors import SpecError, StoreError
from leaderboard.store.store import Store


@pytest.fixture(scope="module")
def board(tmp_path_factory):
    home = tmp_path_factory.mktemp("pages")
    for seed in (1, 2):
        Store.open(home).import_run(write_run(home, seed=seed))
    return open_board(home)


@pytest.fixture(scope="module")
def made(board, tmp_path_factory):
    return pages.make_snapshot(board, tmp_path_factory.mktemp("snapshots") / "one")


@pytest.fixture
def copy(made, tmp_path):
    """The snapshot in a folder that a test may spoil."""
    return shutil.copytree(made.folder, tmp_path / "copy")


def test_a_snapshot_says_what_it_holds(board, made):
    assert sorted(made.runs) == sorted(run.run_id for run in board.runs())
    listed = json.loads((made.folder / "manifest.json").read_text())["files"]
    assert (made.files, made.bytes) == (len(listed), sum(file["bytes"] for file in listed.values()))
    for name, file in listed.items():
        content = (made.folder / name).read_bytes()
        assert file == {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    assert datetime.fromisoformat(made.created).utcoffset().total_seconds() == 0
    assert made.to_json()["folder"] == str(made.folder)


def test_its_hashes_are_read_by_the_tool_that_everybody_has(made):
    words = ["sha256sum", "--check", "--quiet", "SHA256SUMS"]
    subprocess.run(words, cwd=made.folder, check=True, capture_output=True)


def test_its_bundle_gives_the_board_back(board, made, tmp_path):
    other = open_board(tmp_path / "other")
    exchange.import_bundles(other, [made.folder / "board.zip"])
    assert [vars(run) for run in other.runs()] == [vars(run) for run in board.runs()]


def test_a_snapshot_may_be_moved(made, copy):
    found = pages.verify_snapshot(copy)
    assert (found.sha256, found.runs, found.bytes) == (made.sha256, made.runs, made.bytes)
    assert found.folder == copy


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda folder: flip(folder / "board.zip"), r"board\.zip was changed"),
        (lambda folder: flip(folder / "page" / "index.html"), r"page/index\.html was changed"),
        (lambda folder: (folder / "README.txt").unlink(), r"README\.txt is missing"),
        (lambda folder: (folder / "more.txt").write_text("x"), r"more\.txt is none of its files"),
        (lambda folder: (folder / "page" / "link").symlink_to("/etc/passwd"), "page/link is none of its files"),
        (lambda folder: flip(folder / "SHA256SUMS"), "SHA256SUMS was changed"),
        (lambda folder: (folder / "SHA256SUMS").unlink(), "SHA256SUMS was changed"),
    ],
)
def test_whatever_was_changed_is_named(copy, spoil, said):
    spoil(copy)
    with pytest.raises(StoreError, match=said):
        pages.verify_snapshot(copy)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("created", "2020-01-01T00:00:00+00:00", r"manifest\.json was changed"),
        ("runs", [], r"manifest\.json was changed"),
        ("sha256", "0" * 64, r"manifest\.json was changed"),
        ("version", 2, "is no snapshot that this version reads"),
        ("format", "something", "is no snapshot that this version reads"),
        ("files", [], "is no snapshot that this version reads"),
        ("runs", [1], "is no snapshot that this version reads"),
    ],
)
def test_a_changed_manifest_is_refused(copy, field, value, said):
    manifest = json.loads((copy / "manifest.json").read_text())
    assert manifest[field] != value
    (copy / "manifest.json").write_text(json.dumps({**manifest, field: value}))
    with pytest.raises(StoreError, match=said):
        pages.verify_snapshot(copy)


@pytest.mark.parametrize("content", [None, b"", b"{", b"[]", b"\xff\xfe", b"{" * 100_000])
def test_a_folder_that_is_no_snapshot_is_told(tmp_path, content):
    if content is not None:
        (tmp_path / "manifest.json").write_bytes(content)
    with pytest.raises(StoreError, match="is no snapshot"):
        pages.verify_snapshot(tmp_path)


@pytest.mark.parametrize("kind", ["full", "file", "link"])
def test_what_is_there_is_never_replaced(board, tmp_path, kind):
    place = tmp_path / "there"
    if kind == "full":
        place.mkdir()
        (place / "mine").write_text("mine")
    elif kind == "file":
        place.write_text("mine")
    else:
        place.symlink_to(tmp_path / "nowhere")
    with pytest.raises(StoreError, match="is there already, and a snapshot is never changed"):
        pages.make_snapshot(board, place)
    assert sorted(path.name for path in tmp_path.rglob("*")) == (["mine", "there"] if kind == "full" else ["there"])


def test_an_empty_board_makes_no_snapshot_and_leaves_nothing(tmp_path):
    with pytest.raises(StoreError):
        pages.make_snapshot(open_board(tmp_path / "none"), tmp_path / "snapshot")
    assert list(tmp_path.iterdir()) == []


def test_without_a_name_the_snapshot_is_named_after_its_day(board, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = pages.make_snapshot(board)
    assert str(made.folder) == f"snapshot-{made.created[:10]}"
    assert (tmp_path / made.folder / "manifest.json").is_file()


# --- the page -----------------------------------------------------------------------------------------------------


def test_a_page_needs_no_network(board, tmp_path):
    page = pages.write_page(board, tmp_path / "page")
    text = page.read_text(encoding="utf-8")
    assert page == tmp_path / "page" / "index.html"
    assert not any(f'{tag}="http' in text for tag in ("src", "srcset"))
    assert "patchmix-cl" in text
    assert (tmp_path / "page" / "data").is_dir()


def test_a_page_is_written_over_a_page(board, tmp_path):
    page = pages.write_page(board, tmp_path / "page")
    names = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*"))
    page.write_text("an old page")
    assert "patchmix-cl" in pages.write_page(board, tmp_path / "page").read_text()
    assert sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*")) == names


@pytest.mark.parametrize("protocol", ["lst", "", "LAST"])
def test_an_unknown_rule_writes_no_page(board, tmp_path, protocol):
    with pytest.raises(SpecError, match=f"Unknown protocol '{protocol}'"):
        pages.write_page(board, tmp_path / "page", protocol)
    assert not (tmp_path / "page").exists()


def test_a_page_below_a_file_is_told(board, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(StoreError, match="file"):
        pages.write_page(board, tmp_path / "file" / "page")
    assert (tmp_path / "file").read_text() == "mine"
