"""Fetching from a local server: the set, another set, archives made to harm, and what is there already."""

from __future__ import annotations

import http.server
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sprsound_sets import annotation_file

from bench.core.download import Patience
from bench.core.errors import DataError, SpecError
from bench.data.datasets.sprsound.fetch import ARCHIVE, COMMIT
from bench.data.sources import load_dataset, reader_of

QUICK = Patience(attempts=2, pause=0.0, timeout=5.0)


class Site:
    """A server's address, what it offers by path, and the paths that it was asked for."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.url = ""


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            pass

        def do_GET(self) -> None:
            site.asked.append(self.path)
            content = site.files.get(self.path)
            if content is None:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        site.url = f"http://127.0.0.1:{server.server_address[1]}/zip"
        yield site
        server.shutdown()
        thread.join()


def archive_of(folder: Path, path: Path) -> bytes:
    """The folder as an archive of the repository has it: everything below one folder named for the commit."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, f"SPRSound-{COMMIT}/{file.relative_to(folder)}")
        archive.writestr(f"SPRSound-{COMMIT}/README.md", b"read me")
    return path.read_bytes()


@pytest.fixture
def owners(site, pinned, tmp_path) -> Site:
    """The server as the owners have it."""
    site.files[f"/zip/{COMMIT}"] = archive_of(pinned, tmp_path / "made.zip")
    return site


def fetch(folder: Path, site: Site, **more: object) -> None:
    reader_of("sprsound").fetch(folder, base_url=site.url, patience=QUICK, **more)


def visible(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.name != ".fetch.lock"}


def test_the_set_is_fetched_checked_and_loaded(owners, pinned, tmp_path):
    told: list[str] = []
    fetch(tmp_path / "data", owners, on_progress=lambda name, done, total: told.append(name))
    assert visible(tmp_path / "data") == {"SPRSound"}
    assert load_dataset(tmp_path / "data", "sprsound").fingerprint == load_dataset(pinned, "sprsound").fingerprint
    assert {ARCHIVE, "unpacking"} <= set(told)
    assert owners.asked == [f"/zip/{COMMIT}"]


def test_what_is_there_is_not_fetched_again(owners, pinned, tmp_path):
    fetch(pinned, owners)
    fetch(tmp_path / "data", owners)
    fetch(tmp_path / "data", owners)
    assert len(owners.asked) == 1


def test_the_archive_is_kept_on_demand_and_one_put_there_by_hand_always(owners, tmp_path):
    fetch(tmp_path / "kept", owners, keep_archive=True)
    assert visible(tmp_path / "kept") == {"SPRSound", ARCHIVE}
    (tmp_path / "hand").mkdir()
    (tmp_path / "kept" / ARCHIVE).rename(tmp_path / "hand" / ARCHIVE)
    fetch(tmp_path / "hand", owners)
    assert visible(tmp_path / "hand") == {"SPRSound", ARCHIVE}
    assert len(owners.asked) == 1


def test_the_address_may_come_from_the_environment(owners, tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_SPRSOUND_URL", owners.url)
    reader_of("sprsound").fetch(tmp_path / "data", patience=QUICK)
    assert visible(tmp_path / "data") == {"SPRSound"}


def test_another_set_is_refused_and_nothing_of_it_stays(site, pinned, tmp_path):
    annotation_file(pinned, "102_9.0_1_p1_16").write_text('{"record_annotation": "Normal", "event_annotation": []}')
    site.files[f"/zip/{COMMIT}"] = archive_of(pinned, tmp_path / "made.zip")
    with pytest.raises(DataError, match=r"does not hold the official set: .*annotations of the part 'inter'"):
        fetch(tmp_path / "data", site)
    assert visible(tmp_path / "data") == set()


def test_an_incomplete_set_is_refused(site, pinned, tmp_path):
    (pinned / "train_wav" / "100_3.5_0_p1_11.wav").unlink()
    site.files[f"/zip/{COMMIT}"] = archive_of(pinned, tmp_path / "made.zip")
    with pytest.raises(DataError, match=r"100_3.5_0_p1_11.wav: the recording is missing"):
        fetch(tmp_path / "data", site)
    assert visible(tmp_path / "data") == set()


def test_an_archive_that_points_out_of_its_folder_is_refused(site, pinned, tmp_path):
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
        archive.writestr("../outside.json", b"{}")
    site.files[f"/zip/{COMMIT}"] = (tmp_path / "evil.zip").read_bytes()
    with pytest.raises(DataError, match="points out of its folder"):
        fetch(tmp_path / "data", site)
    assert visible(tmp_path / "data") == set()
    assert not (tmp_path / "outside.json").exists()


def test_what_is_no_archive_is_refused(site, pinned, tmp_path):
    site.files[f"/zip/{COMMIT}"] = b"<html>not found</html>"
    with pytest.raises(DataError):
        fetch(tmp_path / "data", site)
    assert visible(tmp_path / "data") == set()


def test_a_server_without_the_archive_is_told_with_the_way_by_hand(site, pinned, tmp_path):
    with pytest.raises(DataError) as caught:
        fetch(tmp_path / "data", site)
    assert ARCHIVE in caught.value.hint
    assert COMMIT[:12] in caught.value.hint


def test_a_folder_in_the_way_is_named(owners, tmp_path):
    (tmp_path / "data" / "SPRSound").mkdir(parents=True)
    with pytest.raises(DataError, match="is there, but only 0 of 7 recordings are"):
        fetch(tmp_path / "data", owners)


def test_leftovers_of_a_killed_fetch_are_removed(owners, tmp_path):
    left = tmp_path / "data" / ".SPRSound.unchecked.tmp"
    left.mkdir(parents=True)
    (left / "half.wav").write_bytes(b"")
    fetch(tmp_path / "data", owners)
    assert visible(tmp_path / "data") == {"SPRSound"}


@pytest.mark.parametrize("address", ["ftp://host/x", "nonsense"])
def test_an_address_that_is_none_is_refused(tmp_path, address):
    with pytest.raises(SpecError, match="cannot be used"):
        reader_of("sprsound").fetch(tmp_path / "data", base_url=address)
    assert not (tmp_path / "data").exists()


def test_a_folder_that_cannot_be_made_is_named(site, tmp_path):
    (tmp_path / "data").write_text("a file")
    with pytest.raises(DataError, match="Cannot make the data folder"):
        fetch(tmp_path / "data", site)
