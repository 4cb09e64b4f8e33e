"""Downloads from the Hub are bounded before a byte comes: by a size, and by the room on the disk."""

import shutil

import hub_server
import pytest

from baselines.downloads import fetch_weights
from bench.core import hub_sizes
from bench.core.download import TooLargeError
from bench.core.errors import DataError, WeightsError
from bench.core.hub import HubPlace, fetch
from bench.core.room import check_room

PLACE = HubPlace("model", "lab/net")
FILES = {"config.json": b"{}", "weights/last.safetensors": b"x" * 2000}


@pytest.fixture
def hub(monkeypatch):
    with hub_server.running() as hub:
        hub_server.use(hub, monkeypatch)
        hub.make("model", PLACE.name, FILES)
        yield hub


@pytest.fixture
def small_disk(monkeypatch):
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))


def came(hub, cache):
    return hub.asked("GET", "/storage/"), [
        path for path in cache.rglob("*") if path.is_file() and "blobs" in path.parts
    ]


def test_a_snapshot_that_is_too_large_is_not_begun(hub, tmp_path, monkeypatch):
    monkeypatch.setattr(hub_sizes, "MOST_BYTES", 2001)
    with pytest.raises(TooLargeError, match=r"hf:lab/net has 2,002 bytes, more than the 2,001") as caught:
        fetch(PLACE, tmp_path, ["*.json", "weights/*"])
    assert "hf download" in caught.value.hint
    assert came(hub, tmp_path) == (0, [])
    # What is not asked for does not count, nor what is there already.
    fetch(PLACE, tmp_path, ["weights/*"])
    found = fetch(PLACE, tmp_path, ["*.json", "weights/*"])
    assert (found.folder / "config.json").read_bytes() == b"{}"


def test_a_disk_without_room_is_said_before_it_is_full(hub, tmp_path, small_disk):
    with pytest.raises(DataError, match=r"hf:lab/net takes 2,000 bytes, but 1,000 are free in ") as caught:
        fetch(PLACE, tmp_path / "new", ["weights/*"])
    assert "Free space" in caught.value.hint
    with pytest.raises(WeightsError, match=r"weights/last.safetensors takes 2,000 bytes, but 1,000 are free"):
        fetch_weights("hf:lab/net/weights/last.safetensors", "", tmp_path / "weights")
    assert came(hub, tmp_path) == (0, [])
    check_room(1000, tmp_path / "not" / "there", "That")


def test_weights_that_are_too_large_are_not_fetched(hub, tmp_path, monkeypatch):
    monkeypatch.setattr(hub_sizes, "MOST_BYTES", 1999)
    with pytest.raises(WeightsError, match=r"Cannot fetch the weights .* has 2,000 bytes, more than the 1,999"):
        fetch_weights("hf:lab/net/weights/last.safetensors", "", tmp_path)
    assert came(hub, tmp_path) == (0, [])
