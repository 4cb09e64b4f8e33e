"""Fetching from a local server that drops, restarts, corrupts or lies; and unpacking of archives made to harm."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import json
import os
import re
import socket
import threading
import tracemalloc
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest
from icbhi_sets import load_dataset, write_set
from logs import logged

from bench.core import download as download_module
from bench.core.download import Patience, UnreachableError, download
from bench.core.errors import DataError, SpecError
from bench.data import unpack as unpack_module
from bench.data.datasets.icbhi.fetch import fetch
from bench.data.unpack import unpack

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
    authorized: list[tuple[str, str | None]] = field(default_factory=list)
    """Path and Authorization of each request."""
    url: str = ""

    def tag(self, name: str) -> str:
        return f'"{hashlib.sha256(self.files[name]).hexdigest()[:16]}"'


def handler_of(site: Site) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            pass

        def do_GET(self) -> None:
            name = self.path.lstrip("/").partition("?")[0]
            site.authorized.append((name, self.headers.get("Authorization")))
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


@pytest.mark.parametrize(
    "url", ["http://[::1", "http://", "https://h:port/", "ftp://host/", "http://a b/", "http://..../"]
)
def test_an_address_that_is_none_is_a_sentence(tmp_path, url):
    with pytest.raises(SpecError, match=r"The address .* cannot be used: it") as caught:
        fetch(tmp_path / "data", base_url=url)
    assert caught.value.exit_code == 2


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
        download(f"{site.url}x", tmp_path / "x", patience=QUICK, limit=10**6)
    site.files["x"] = b"\1" * 90_000
    site.ranges, site.drop_after = True, None
    download(f"{site.url}x", tmp_path / "x", patience=QUICK, limit=10**6)
    assert (tmp_path / "x").read_bytes() == site.files["x"]
    assert {path.name for path in tmp_path.iterdir()} == {"x"}


def test_a_disk_without_room_is_said_before_it_is_full(site, tmp_path, monkeypatch):
    site.files["x"] = bytes(100_000)
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=99_999))
    with pytest.raises(DataError, match=r"/x takes 100,000 bytes, but 99,999 are free in "):
        download(f"{site.url}x", tmp_path / "x", patience=QUICK, limit=10**6)
    assert not list(tmp_path.glob("x*.part"))


def test_an_answer_with_another_range_is_not_used(site, tmp_path):
    site.files["x"] = bytes(range(256)) * 100
    site.drop_after, site.drops, site.wrong_range = 10_000, 1, True
    download(f"{site.url}x", tmp_path / "x", patience=QUICK, limit=10**6)
    assert (tmp_path / "x").read_bytes() == site.files["x"]
    assert [asked for _, asked in site.log] == [None, "bytes=10000-", None]


def test_a_part_that_is_complete_is_not_asked_for_again(site, tmp_path):
    note = {"url": f"{site.url}x", "validator": '"v"', "total": 3}
    (tmp_path / "x.part").write_bytes(b"abc")
    (tmp_path / "x.part.json").write_text(json.dumps(note), encoding="utf-8")
    download(f"{site.url}x", tmp_path / "x", patience=QUICK, limit=10**6)
    assert (tmp_path / "x").read_bytes() == b"abc"
    assert site.log == []


@pytest.mark.parametrize("note", ["", "{", "[]", '{"url": "elsewhere", "validator": "v", "total": 3}'])
def test_a_part_of_something_unknown_is_not_used(site, tmp_path, note):
    site.files["x"] = b"right"
    (tmp_path / "x.part").write_bytes(b"wro")
    (tmp_path / "x.part.json").write_text(note, encoding="utf-8")
    download(f"{site.url}x", tmp_path / "x", patience=QUICK, limit=10**6)
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

    def refuse(handler: urllib.request.HTTPSHandler, request: urllib.request.Request) -> None:
        calls.append(handler._context)
        error = ssl.SSLCertVerificationError(1, "certificate verify failed")
        error.verify_message = "unable to get local issuer certificate"
        raise urllib.error.URLError(error)

    monkeypatch.setattr(urllib.request.HTTPSHandler, "https_open", refuse)
    with pytest.raises(UnreachableError, match="unable to get local issuer certificate"):
        download("https://127.0.0.1/x", tmp_path / "x", patience=QUICK, limit=10**6)
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
    with logged() as notes:
        fetch(tmp_path / "data", base_url=owners.url, patience=QUICK)
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


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"files": []}',
        b'{"files": {"a": 1}}',
        b'{"files": {"a": {"sha256": 7}}}',
        b'{"files": {"a": {"sha256": "' + b"0" * 64 + b'", "files": "ten"}}}',
        b'{"files": {}}' + b" " * (1 << 20),
    ],
)
def test_a_broken_record_is_an_error(owners, tmp_path, content):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "fetched.json").write_bytes(content)
    with pytest.raises(DataError, match=r"fetched\.json cannot be read") as caught:
        fetch(tmp_path / "data", base_url=owners.url, patience=QUICK)
    assert "Delete it" in str(caught.value.hint)


@pytest.mark.parametrize("name", ["fetched.json", SPLIT, ARCHIVE])
def test_a_pipe_in_place_of_a_file_is_not_waited_for(owners, tmp_path, name):
    (tmp_path / "data").mkdir()
    os.mkfifo(tmp_path / "data" / name)
    with pytest.raises(DataError, match="no regular file"):
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


def test_user_and_password_reach_the_server_and_nothing_else(owners, tmp_path):
    url = owners.url.replace("http://", "http://somebody:s3cr3t%40x@")
    with logged():
        fetch(tmp_path / "data", base_url=url, patience=QUICK)
    assert {owner for _, owner in owners.authorized} == {"Basic c29tZWJvZHk6czNjcjN0QHg="}
    assert "s3cr3t" not in (tmp_path / "data" / "fetched.json").read_text(encoding="utf-8")
    owners.drop_after, owners.ranges = 4, False
    with pytest.raises(DataError) as caught:
        download(f"{url}{SPLIT}?token=t0k3n", tmp_path / "x", patience=QUICK, limit=10**6)
    kept = (tmp_path / "x.part.json").read_text(encoding="utf-8")
    assert not re.search("s3cr3t|somebody|t0k3n", f"{caught.value.message} {caught.value.hint} {kept}")


@contextlib.contextmanager
def answering(answer: Callable[[http.server.BaseHTTPRequestHandler], None]) -> Iterator[str]:
    """A server that does with each request what the test says; gives its address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            pass

        def do_GET(self) -> None:
            with contextlib.suppress(OSError):
                answer(self)

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()
        thread.join()


def sending(headers: dict[str, str], body: Iterable[bytes], status: int = 200):
    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        for block in body:
            handler.wfile.write(block)

    return answer


@pytest.mark.parametrize("headers", [{}, {"Content-Length": "200000000"}, {"Content-Length": "9" * 30}])
def test_a_download_has_a_bound_whatever_the_server_announces(tmp_path, headers):
    sent: list[int] = []

    def endless() -> Iterator[bytes]:
        while True:
            sent.append(1 << 16)
            yield bytes(1 << 16)

    with answering(sending(headers, endless())) as url, pytest.raises(DataError, match="larger than the 1,000,000"):
        download(f"{url}x", tmp_path / "x", patience=QUICK, limit=10**6)
    assert list(tmp_path.iterdir()) == []
    assert sum(sent) < 50 << 20


def test_a_text_file_is_not_taken_to_the_end_of_a_large_one(owners, tmp_path):
    owners.files[SPLIT] = bytes(30 << 20)
    with pytest.raises(DataError, match="larger than the 1,048,576 bytes"):
        fetch(tmp_path / "data", base_url=owners.url, patience=QUICK)
    assert visible(tmp_path / "data") == set()


@pytest.mark.parametrize("location", ["ftp://127.0.0.1/x", "file:///etc/hostname", "http://[::1", "gopher://h/"])
def test_another_kind_of_address_is_not_followed(tmp_path, location):
    redirect = sending({"Location": location, "Content-Length": "0"}, [], 302)
    with answering(redirect) as url, pytest.raises(UnreachableError) as caught:
        download(f"{url}x", tmp_path / "x", patience=QUICK, limit=10**6)
    assert "Traceback" not in caught.value.message
    assert not (tmp_path / "x").exists()


def test_an_encrypted_address_is_not_left_for_an_open_one():
    import urllib.request

    asked = urllib.request.Request("https://user.example/x?token=t0k3n")
    follow = download_module._Redirects().redirect_request
    with pytest.raises(UnreachableError, match="is not followed: it is not encrypted") as caught:
        follow(asked, None, 302, "Found", {}, "http://user.example/x")
    assert "t0k3n" not in caught.value.message
    assert follow(asked, None, 302, "Found", {}, "https://other.example/x").full_url == "https://other.example/x"


def test_a_password_is_not_sent_on_to_another_host():
    import urllib.request

    asked = urllib.request.Request("https://host.example/x", headers={"Authorization": "Basic x"})
    follow = download_module._Redirects().redirect_request
    assert follow(asked, None, 302, "Found", {}, "https://other.example/x").get_header("Authorization") is None
    assert follow(asked, None, 302, "Found", {}, "https://host.example/y").get_header("Authorization") == "Basic x"


def test_an_encoded_answer_is_refused(tmp_path):
    answer = sending({"Content-Encoding": "gzip"}, [b"\x1f\x8b"])
    with answering(answer) as url, pytest.raises(UnreachableError, match=r"encoded \(gzip\)"):
        download(f"{url}x", tmp_path / "x", patience=QUICK, limit=10**6)


def test_the_end_of_another_version_is_not_glued_on(tmp_path):
    """A server that honours ranges, but sends them whatever version was asked for."""
    (tmp_path / "x.part").write_bytes(b"old")
    versions = [b"newer", b"newer"]

    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        content, part = versions.pop(), "Range" in handler.headers
        headers = {"ETag": '"2"', "Content-Length": str(len(content[3:] if part else content))}
        if part:
            headers["Content-Range"] = "bytes 3-4/5"
        sending(headers, [content[3:] if part else content], 206 if part else 200)(handler)

    with answering(answer) as url:
        note = {"url": f"{url}x", "validator": '"1"', "total": 5}
        (tmp_path / "x.part.json").write_text(json.dumps(note), encoding="utf-8")
        download(f"{url}x", tmp_path / "x", patience=QUICK, limit=10**6)
    assert (tmp_path / "x").read_bytes() == b"newer"


@pytest.mark.parametrize("odd", ['{"validator": 5}', '{"total": "3"}', '{"total": -1}', '{"validator": "a\\nb: c"}'])
def test_an_odd_note_of_a_part_is_not_believed(site, tmp_path, odd):
    site.files["x"] = b"right"
    (tmp_path / "x.part").write_bytes(b"wro")
    note = {"url": f"{site.url}x", "validator": '"v"', "total": 3, **json.loads(odd)}
    (tmp_path / "x.part.json").write_text(json.dumps(note), encoding="utf-8")
    download(f"{site.url}x", tmp_path / "x", patience=QUICK, limit=10**6)
    assert (tmp_path / "x").read_bytes() == b"right"


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


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_only_stored_and_deflated_members_are_unpacked(tmp_path, method):
    with zipfile.ZipFile(tmp_path / "bad.zip", "w", method) as archive:
        archive.writestr("a.wav", bytes(30 << 20))
    tracemalloc.start()
    with pytest.raises(DataError, match=f"a file packed by method {method}"):
        unpack(tmp_path / "bad.zip", tmp_path / "target")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 << 20
    assert {item.name for item in tmp_path.iterdir()} == {"bad.zip"}


def test_a_device_in_an_archive_is_refused(tmp_path):
    device = zipfile.ZipInfo("null")
    device.external_attr = 0o020666 << 16
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        archive.writestr(device, b"")
    with pytest.raises(DataError, match="something that is no file: 'null'"):
        unpack(tmp_path / "bad.zip", tmp_path / "target")


@pytest.mark.parametrize(
    ("announced", "match"), [(10, "is damaged"), (100_000_000, "is damaged"), (1 << 30, "a file of more")]
)
def test_what_a_member_announces_is_not_believed(tmp_path, announced, match):
    path = tmp_path / "bad.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.wav", bytes(1 << 20))
    content = bytearray(path.read_bytes())
    directory = content.rfind(b"PK\1\2")
    content[directory + 24 : directory + 28] = announced.to_bytes(4, "little")
    path.write_bytes(content)
    with pytest.raises(DataError, match=match):
        unpack(path, tmp_path / "target")
    assert {item.name for item in tmp_path.iterdir()} == {"bad.zip"}


def test_a_vast_table_of_contents_is_not_read(tmp_path):
    path = write_zip(tmp_path / "bad.zip", {"a.txt": b"a"})
    content = bytearray(path.read_bytes())
    end = content.rfind(b"PK\5\6")
    content[end + 12 : end + 16] = (1 << 30).to_bytes(4, "little")
    path.write_bytes(content)
    with pytest.raises(DataError, match="table of contents has 1,073,741,824 bytes"):
        unpack(path, tmp_path / "target")


def test_two_members_of_one_name_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        archive.writestr("d/a.txt", b"one")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("d/a.txt", b"two")
    with pytest.raises(DataError, match="two files of one name"):
        unpack(tmp_path / "bad.zip", tmp_path / "target")


@pytest.mark.parametrize(("limit", "value"), [("MAX_BYTES", 10), ("MAX_MEMBERS", 1), ("SMALL_BYTES", 1)])
def test_an_archive_beyond_the_limits_is_refused(tmp_path, monkeypatch, limit, value):
    monkeypatch.setattr(unpack_module, limit, value)
    path = tmp_path / "big.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("a.txt", "b.txt"):
            archive.writestr(name, bytes(1 << 20))
    with pytest.raises(DataError, match="more than the"):
        unpack(path, tmp_path / "target")
    assert {item.name for item in tmp_path.iterdir()} == {"big.zip"}


def test_a_full_disk_keeps_the_archive_that_was_downloaded(owners, tmp_path, monkeypatch):
    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(unpack_module, "_extract", full)
    with pytest.raises(DataError, match=r"Cannot unpack into .*: No space left"):
        fetch(tmp_path / "data", base_url=owners.url, patience=QUICK)
    assert visible(tmp_path / "data") == {*WHOLE, ARCHIVE} - {"ICBHI_final_database"}


def test_a_part_that_cannot_be_written_is_told(site, tmp_path):
    site.files["x"] = bytes(1000)
    (tmp_path / "x.part").mkdir()
    with pytest.raises(DataError, match=r"Cannot write .*x\.part"):
        download(f"{site.url}x", tmp_path / "x", patience=QUICK, limit=10**6)


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
