"""Fetching from a local server that drops, restarts, corrupts or lies; and unpacking of archives made to harm."""

from __future__ import annotations

import hashlib
import http.server
import json
import re
import socket
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from icbhi_sets import write_set

from bench.data import unpack as unpack_module
from bench.data.fetch import fetch
from bench.data.icbhi import load_dataset
from bench.data.unpack import unpack
from bench.download import Patience, UnreachableError, download
from bench.errors import DataError, SpecError

QUICK = Patience(attempts=3, pause=0.0, timeout=5.0)
ARCHIVE = "ICBHI_final_database.zip"
SPLIT = "ICBHI_challenge_train_test.txt"


@dataclass
class Site:
    """What the server offers and how it misbehaves."""

    files: dict[str, bytes] = field(default_factory=dict)
    ranges: bool = True
    drop_after: int | None = None
    """Bytes of an answer's body after which the connection is closed."""
    drops: int = 10**6
    """How many answers are dropped."""
    fail_with: int | None = None
    wrong_range: bool = False
    log: list[tuple[str, str | None]] = field(default_factory=list)
    """Path and Range of each request."""
    url: str = ""

    def tag(self, name: str) -> str:
        return f'"{hashlib.sha256(self.files[name]).hexdigest()[:16]}"'


def handler_of(site: Site) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            pass

        def do_GET(self) -> None:
            name = self.path.lstrip("/")
            asked = self.headers.get("Range")
            site.log.append((name, asked))
            if site.fail_with or name not in site.files:
                self.send_error(site.fail_with or 404)
                return
            content, start = site.files[name], 0
            if asked and site.ranges and self.headers.get("If-Range") == site.tag(name):
                start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1])
            self.send_response(206 if start else 200)
            if start:
                told = start + 1 if site.wrong_range else start
                self.send_header("Content-Range", f"bytes {told}-{len(content) - 1}/{len(content)}")
            self.send_header("ETag", site.tag(name))
            self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            body = content[start:]
            if site.drop_after is not None and site.drops > 0 and len(body) > site.drop_after:
                site.drops -= 1
                body = body[: site.drop_after]
            self.wfile.write(body)

    return Handler


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler_of(site)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        site.url = f"http://127.0.0.1:{server.server_address[1]}/"
        yield site
        server.shutdown()
        thread.join()


def zip_of(database: Path, path: Path) -> bytes:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(database.iterdir()):
            archive.write(file, f"{database.name}/{file.name}")
        archive.writestr("__MACOSX/._junk.txt", b"junk")
    return path.read_bytes()


@pytest.fixture
def owners(site, tmp_path) -> Site:
    """The server as the owners have it: the archive, the split, and companions under their names there."""
    database = write_set(tmp_path / "source", simulated=False)
    site.files[ARCHIVE] = zip_of(database, tmp_path / "source.zip")
    for name in ("train_test", "diagnosis", "demographic_information"):
        content = (tmp_path / "source" / f"ICBHI_challenge_{name}.txt").read_bytes()
        served = f"ICBHI_challenge_{name}.txt" if name == "train_test" else f"ICBHI_Challenge_{name}.txt"
        site.files[served] = content
    return site


def check_whole(folder: Path, source: Path) -> None:
    mine, theirs = load_dataset(folder, allow_partial=True), load_dataset(source, allow_partial=True)
    assert mine.fingerprint == theirs.fingerprint
    assert (mine.diagnosis, mine.demographics) == (theirs.diagnosis, theirs.demographics)


def visible(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.name != ".fetch.lock"}


WHOLE = {
    "ICBHI_final_database",
    SPLIT,
    "ICBHI_challenge_diagnosis.txt",
    "ICBHI_challenge_demographic_information.txt",
    "fetched.json",
}


def test_fetch_gets_everything(owners, tmp_path):
    seen: list[tuple[str, int, int | None]] = []
    fetch(tmp_path / "data", base_url=owners.url, patience=QUICK, on_progress=lambda *step: seen.append(step))
    check_whole(tmp_path / "data", tmp_path / "source")
    assert visible(tmp_path / "data") == WHOLE
    size = len(owners.files[ARCHIVE])
    assert (ARCHIVE, size, size) in seen
    assert seen[-1][0] == "unpacking"
    record = json.loads((tmp_path / "data" / "fetched.json").read_text(encoding="utf-8"))["files"]
    assert record[ARCHIVE]["sha256"] == hashlib.sha256(owners.files[ARCHIVE]).hexdigest()
    assert record[ARCHIVE]["files"] == 10
    assert record[SPLIT]["url"] == f"{owners.url}{SPLIT}"


def test_a_second_fetch_asks_for_nothing(owners, tmp_path):
    fetch(tmp_path / "data", base_url=owners.url, patience=QUICK)
    owners.log.clear()
    fetch(tmp_path / "data", base_url=owners.url, patience=QUICK)
    assert owners.log == []


def test_address_comes_from_the_environment(owners, tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_ICBHI_URL", owners.url.rstrip("/"))
    fetch(tmp_path / "data", patience=QUICK, keep_archive=True)
    assert visible(tmp_path / "data") == {*WHOLE, ARCHIVE}
    with pytest.raises(SpecError, match="must begin with http"):
        fetch(tmp_path / "data", base_url="file:///etc/")


def test_a_dropped_connection_goes_on_where_it_ended(owners, tmp_path):
    half = len(owners.files[ARCHIVE]) // 2
    owners.drop_after, owners.drops = half, 1
    fetch(tmp_path / "data", base_url=owners.url, patience=QUICK)
    check_whole(tmp_path / "data", tmp_path / "source")
    assert [asked for name, asked in owners.log if name == ARCHIVE] == [None, f"bytes={half}-"]


def test_many_drops_are_survived_while_each_brings_something(owners, tmp_path):
    owners.drop_after = len(owners.files[ARCHIVE]) // 12
    fetch(tmp_path / "data", base_url=owners.url, patience=QUICK)
    check_whole(tmp_path / "data", tmp_path / "source")
    assert len([name for name, _ in owners.log if name == ARCHIVE]) >= 12


def test_without_ranges_the_download_begins_anew(owners, tmp_path):
    owners.ranges, owners.drop_after, owners.drops = False, len(owners.files[ARCHIVE]) // 2, 1
    fetch(tmp_path / "data", base_url=owners.url, patience=QUICK)
    check_whole(tmp_path / "data", tmp_path / "source")
    assert len([name for name, _ in owners.log if name == ARCHIVE]) == 2


def test_without_ranges_and_dropped_each_time_it_gives_up(owners, tmp_path):
    half = len(owners.files[ARCHIVE]) // 2
    owners.ranges, owners.drop_after = False, half
    with pytest.raises(DataError, match="keeps dropping") as caught:
        fetch(tmp_path / "data", base_url=owners.url, patience=QUICK)
    assert f"{half:,} bytes of {ARCHIVE} are kept" in str(caught.value.hint)
    assert len([name for name, _ in owners.log if name == ARCHIVE]) == 1 + QUICK.attempts
    assert "ICBHI_final_database" not in visible(tmp_path / "data")
    assert ARCHIVE not in visible(tmp_path / "data")


def test_a_stopped_fetch_goes_on_at_the_next_start(owners, tmp_path):
    third = len(owners.files[ARCHIVE]) // 3
    owners.ranges, owners.drop_after = False, third
    with pytest.raises(DataError, match="keeps dropping"):
        fetch(tmp_path / "data", base_url=owners.url, patience=QUICK)
    owners.ranges, owners.drop_after = True, None
    owners.log.clear()
    fetch(tmp_path / "data", base_url=owners.url, patience=QUICK)
    check_whole(tmp_path / "data", tmp_path / "source")
    assert owners.log == [(ARCHIVE, f"bytes={third}-")]


def test_two_versions_of_a_file_are_never_glued_together(site, tmp_path):
    site.files["x"] = bytes(100_000)
    site.ranges, site.drop_after = False, 40_000
    with pytest.raises(DataError, match="keeps dropping"):
        download(f"{site.url}x", tmp_path / "x", patience=QUICK)
    site.files["x"] = b"\1" * 90_000
    site.ranges, site.drop_after = True, None
    download(f"{site.url}x", tmp_path / "x", patience=QUICK)
    assert (tmp_path / "x").read_bytes() == site.files["x"]
    assert {path.name for path in tmp_path.iterdir()} == {"x"}


def test_an_answer_with_another_range_is_not_used(site, tmp_path):
    site.files["x"] = bytes(range(256)) * 100
    site.drop_after, site.drops, site.wrong_range = 10_000, 1, True
    download(f"{site.url}x", tmp_path / "x", patience=QUICK)
    assert (tmp_path / "x").read_bytes() == site.files["x"]
    assert [asked for _, asked in site.log] == [None, "bytes=10000-", None]


def test_a_part_that_is_complete_is_not_asked_for_again(site, tmp_path):
    note = {"url": f"{site.url}x", "validator": '"v"', "total": 3}
    (tmp_path / "x.part").write_bytes(b"abc")
    (tmp_path / "x.part.json").write_text(json.dumps(note), encoding="utf-8")
    download(f"{site.url}x", tmp_path / "x", patience=QUICK)
    assert (tmp_path / "x").read_bytes() == b"abc"
    assert site.log == []


@pytest.mark.parametrize("note", ["", "{", "[]", '{"url": "elsewhere", "validator": "v", "total": 3}'])
def test_a_part_of_something_unknown_is_not_used(site, tmp_path, note):
    site.files["x"] = b"right"
    (tmp_path / "x.part").write_bytes(b"wro")
    (tmp_path / "x.part.json").write_text(note, encoding="utf-8")
    download(f"{site.url}x", tmp_path / "x", patience=QUICK)
    assert (tmp_path / "x").read_bytes() == b"right"


def test_server_errors_are_tried_again_and_then_told(owners, tmp_path):
    owners.fail_with = 503
    with pytest.raises(DataError, match="status 503") as caught:
        fetch(tmp_path / "data", base_url=owners.url, patience=QUICK)
    assert caught.value.exit_code == 3
    owners.fail_with = 403
    with pytest.raises(DataError, match=r"refuses .* 403"):
        fetch(tmp_path / "data", base_url=owners.url, patience=QUICK)


def test_no_connection_says_what_to_put_where(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/"
        with pytest.raises(DataError, match="Cannot reach") as caught:
            fetch(tmp_path / "data", base_url=url, patience=Patience())
    hint = str(caught.value.hint)
    assert caught.value.exit_code == 3
    assert all(word in hint for word in (ARCHIVE, SPLIT, str(tmp_path / "data"), "bhichallenge.med.auth.gr"))
    assert visible(tmp_path / "data") == set()


def test_an_untrusted_certificate_is_not_tried_again(site, tmp_path, monkeypatch):
    import ssl
    import urllib.error
    import urllib.request

    calls = []

    def refuse(*arguments: object, **options: object) -> None:
        calls.append(options["context"])
        error = ssl.SSLCertVerificationError(1, "certificate verify failed")
        error.verify_message = "unable to get local issuer certificate"
        raise urllib.error.URLError(error)

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    with pytest.raises(UnreachableError, match="unable to get local issuer certificate"):
        download("https://127.0.0.1/x", tmp_path / "x", patience=QUICK)
    assert len(calls) == 1
    assert calls[0].verify_mode == ssl.CERT_REQUIRED


def test_files_put_there_by_hand_are_unpacked_without_a_connection(owners, tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    for name, content in owners.files.items():
        (folder / name.replace("Challenge", "challenge")).write_bytes(content)
    fetch(folder, base_url="http://127.0.0.1:9/", patience=QUICK)
    check_whole(folder, tmp_path / "source")
    assert (folder / ARCHIVE).exists()


def test_a_missing_companion_is_noted_and_a_missing_split_is_an_error(owners, tmp_path):
    del owners.files["ICBHI_Challenge_diagnosis.txt"]
    notes: list[str] = []
    fetch(tmp_path / "data", base_url=owners.url, patience=QUICK, on_notice=notes.append)
    assert notes == ["ICBHI_challenge_diagnosis.txt is not on the server; no run needs it."]
    del owners.files[SPLIT]
    with pytest.raises(DataError, match=f"There is no .*{SPLIT}"):
        fetch(tmp_path / "other", base_url=owners.url, patience=QUICK)


def test_a_page_in_place_of_a_table_is_refused(owners, tmp_path):
    owners.files[SPLIT] = b"<html>Please log in to the wireless network</html>\n"
    with pytest.raises(DataError, match=f"{SPLIT} is not what it should be: line 1"):
        fetch(tmp_path / "data", base_url=owners.url, patience=QUICK)
    assert visible(tmp_path / "data") == set()


def test_another_file_than_the_recorded_one_is_refused(owners, tmp_path):
    fetch(tmp_path / "data", base_url=owners.url, patience=QUICK)
    (tmp_path / "data" / SPLIT).unlink()
    owners.files[SPLIT] = owners.files[SPLIT].replace(b"\ttrain", b"\ttest")
    with pytest.raises(DataError, match="is not the file that was fetched before") as caught:
        fetch(tmp_path / "data", base_url=owners.url, patience=QUICK)
    assert "fetched.json" in str(caught.value.hint)
    assert not (tmp_path / "data" / SPLIT).exists()


def test_a_changed_file_on_disk_is_refused_and_kept(owners, tmp_path):
    fetch(tmp_path / "data", base_url=owners.url, patience=QUICK)
    with (tmp_path / "data" / SPLIT).open("ab") as stream:
        stream.write(b"\n")
    with pytest.raises(DataError, match="is not the file that was fetched before"):
        fetch(tmp_path / "data", base_url=owners.url, patience=QUICK)
    assert (tmp_path / "data" / SPLIT).exists()


def test_a_corrupted_archive_is_refused_at_once_and_against_the_record(owners, tmp_path):
    sound = owners.files[ARCHIVE]
    middle = len(sound) // 2
    owners.files[ARCHIVE] = sound[:middle] + bytes([sound[middle] ^ 255]) + sound[middle + 1 :]
    with pytest.raises(DataError, match=f"{ARCHIVE} is damaged"):
        fetch(tmp_path / "data", base_url=owners.url, patience=QUICK)
    assert visible(tmp_path / "data") == WHOLE - {"ICBHI_final_database"}
    assert ARCHIVE not in (tmp_path / "data" / "fetched.json").read_text(encoding="utf-8")

    owners.files[ARCHIVE] = sound
    fetch(tmp_path / "data", base_url=owners.url, patience=QUICK)
    (tmp_path / "data" / "ICBHI_final_database").rename(tmp_path / "aside")
    owners.files[ARCHIVE] = sound + b"\0"
    with pytest.raises(DataError, match="is not the file that was fetched before"):
        fetch(tmp_path / "data", base_url=owners.url, patience=QUICK)
    assert "ICBHI_final_database" not in visible(tmp_path / "data")


def test_a_broken_record_is_an_error(owners, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "fetched.json").write_text("{", encoding="utf-8")
    with pytest.raises(DataError, match=r"fetched\.json cannot be read"):
        fetch(tmp_path / "data", base_url=owners.url, patience=QUICK)


def test_a_folder_in_the_way_is_told_before_anything_is_downloaded(owners, tmp_path):
    write_set(tmp_path / "data", simulated=False)
    with pytest.raises(DataError, match="holds only 10 files, not the whole set"):
        fetch(tmp_path / "data", base_url=owners.url, patience=QUICK)
    assert owners.log == []


def test_what_a_killed_unpacking_left_is_swept_away(owners, tmp_path):
    leftover = tmp_path / "data" / ".ICBHI_final_database.abc.tmp"
    leftover.mkdir(parents=True)
    (leftover / "half.wav").write_bytes(b"half")
    fetch(tmp_path / "data", base_url=owners.url, patience=QUICK)
    assert visible(tmp_path / "data") == WHOLE


def write_zip(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize("name", ["../evil.txt", "a/../../evil.txt", "/evil.txt", "..\\evil.txt", "C:\\evil.txt"])
def test_a_path_out_of_the_target_condemns_the_archive(tmp_path, name):
    inner = tmp_path / "inner"
    inner.mkdir()
    path = write_zip(inner / "bad.zip", {"good.txt": b"good", name: b"evil"})
    with pytest.raises(DataError, match="points out of its folder"):
        unpack(path, inner / "target")
    assert {item.name for item in inner.iterdir()} == {"bad.zip"}
    assert {item.name for item in tmp_path.iterdir()} == {"inner"}


def test_a_fetched_archive_that_points_outside_leaves_nothing(owners, tmp_path):
    owners.files[ARCHIVE] = write_zip(tmp_path / "bad.zip", {"../evil.txt": b"evil"}).read_bytes()
    with pytest.raises(DataError, match="points out of its folder"):
        fetch(tmp_path / "data", base_url=owners.url, patience=QUICK)
    assert visible(tmp_path / "data") == WHOLE - {"ICBHI_final_database"}
    assert not (tmp_path / "evil.txt").exists()


def test_links_in_an_archive_are_refused(tmp_path):
    link = zipfile.ZipInfo("link")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(DataError, match="symbolic link: 'link'"):
        unpack(tmp_path / "bad.zip", tmp_path / "target")
    assert not (tmp_path / "target").exists()


@pytest.mark.parametrize(("limit", "value"), [("MAX_BYTES", 10), ("MAX_MEMBERS", 1)])
def test_an_archive_beyond_the_limits_is_refused(tmp_path, monkeypatch, limit, value):
    monkeypatch.setattr(unpack_module, limit, value)
    path = write_zip(tmp_path / "big.zip", {"a.txt": bytes(8), "b.txt": bytes(8)})
    with pytest.raises(DataError, match="more than the"):
        unpack(path, tmp_path / "target")
    assert {item.name for item in tmp_path.iterdir()} == {"big.zip"}


def test_a_full_disk_keeps_the_archive_that_was_downloaded(owners, tmp_path, monkeypatch):
    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(unpack_module.shutil, "copyfileobj", full)
    with pytest.raises(DataError, match=r"Cannot unpack into .*: No space left"):
        fetch(tmp_path / "data", base_url=owners.url, patience=QUICK)
    assert visible(tmp_path / "data") == {*WHOLE, ARCHIVE} - {"ICBHI_final_database"}


def test_a_part_that_cannot_be_written_is_told(site, tmp_path):
    site.files["x"] = bytes(1000)
    (tmp_path / "x.part").mkdir()
    with pytest.raises(DataError, match=r"Cannot write .*x\.part"):
        download(f"{site.url}x", tmp_path / "x", patience=QUICK)


def test_no_archive_at_all_is_damaged(tmp_path):
    (tmp_path / "x.zip").write_bytes(b"<html>")
    with pytest.raises(DataError, match=r"x\.zip is damaged"):
        unpack(tmp_path / "x.zip", tmp_path / "target")
    assert not (tmp_path / "target").exists()


def test_an_archive_without_a_top_folder_is_unpacked_into_one(tmp_path):
    path = write_zip(tmp_path / "flat.zip", {"a.txt": b"a", "b/c.txt": b"c"})
    assert unpack(path, tmp_path / "target") == 2
    assert (tmp_path / "target" / "b" / "c.txt").read_bytes() == b"c"
    assert (tmp_path / "target").stat().st_mode & 0o777 == 0o755
