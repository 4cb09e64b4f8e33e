"""Which file system a path is on: tables of mounts that are made up for it, and the one of this machine."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
from pathlib import Path

import pytest
from logs import logged

from bench.core import locks, mounts
from bench.core.files import exclusive_lock
from bench.core.mounts import Mount, mount_in, mount_of
from leaderboard.store import network_disks
from leaderboard.store.store import Store

TABLE = r"""
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard
40 27 0:50 /export /home rw,relatime shared:2 - nfs4 server:/export rw,vers=4.2,local_lock=none,addr=10.0.0.1
41 27 0:51 / /old rw,relatime - nfs server:/old rw,vers=3,nolock,local_lock=all
42 27 0:52 / /scratch rw - lustre 10.0.0.2@tcp:/fs rw,flock,lazystatfs
43 27 0:53 / /quick rw - lustre 10.0.0.2@tcp:/fs rw,localflock
44 27 0:54 / /mnt/my\040disk rw - fuse.sshfs me@there:/ rw,user_id=0
45 40 8:1 / /home/local rw - xfs /dev/sdb rw
46 27 8:2 / /twice rw - ext4 /dev/sdc rw
47 27 0:55 / /twice rw - nfs4 server:/twice rw,local_lock=none
this is no line of a table
"""
"""A table of mounts as Linux writes it, made up: this machine has no such disks."""


@pytest.mark.parametrize(
    ("path", "kind", "network", "stay_here"),
    [
        ("/srv/results", "ext4", False, False),
        ("/home/me/results", "nfs4", True, False),
        ("/homes/me", "ext4", False, False),
        ("/home/local/results", "xfs", False, False),
        ("/old/results", "nfs", True, True),
        ("/scratch/me", "lustre", True, False),
        ("/quick/me", "lustre", True, True),
        ("/mnt/my disk/results", "fuse.sshfs", True, True),
        ("/twice/results", "nfs4", True, False),
    ],
)
def test_the_mount_of_a_path_and_what_its_locks_are_worth(path, kind, network, stay_here):
    found = mount_in(TABLE, Path(path))
    assert (found.kind, found.is_network, found.locks_stay_here) == (kind, network, stay_here)


def test_a_table_without_the_path_says_nothing():
    assert mount_in("", Path("/home")) is None


def test_a_folder_that_is_not_there_yet_is_on_the_disk_of_the_nearest_one_that_is(tmp_path):
    assert mount_of(tmp_path / "not" / "yet") == mount_of(tmp_path)
    assert tmp_path.is_relative_to(mount_of(tmp_path).point)


@pytest.fixture
def made_up_disk(monkeypatch):
    """Lets every folder be on a disk that is made up."""

    def mount(kind, *options):
        made = Mount(Path("/"), kind, frozenset(options))
        for module in (locks, network_disks):
            monkeypatch.setattr(module, "mount_of", lambda _path: made)
        network_disks._warn.cache_clear()

    monkeypatch.setattr(locks, "mount_of", mounts.mount_of)
    return mount


def test_a_lock_that_other_machines_do_not_see_has_a_lease_beside_it(tmp_path, made_up_disk):
    made_up_disk("nfs4", "local_lock=none")
    with exclusive_lock(tmp_path / "lock"):
        assert not (tmp_path / "lock.held").exists()
    made_up_disk("nfs", "nolock")
    with exclusive_lock(tmp_path / "lock"):
        assert f"pid={os.getpid()}" in (tmp_path / "lock.held").read_text()
    assert not (tmp_path / "lock.held").exists()


@pytest.mark.parametrize(
    ("disk", "number", "begins"),
    [
        (("ext4",), 0, "flock"),
        (("lustre", "flock"), 0, "flock"),
        (("lustre", "localflock"), 0, "flock for this machine, lease for others"),
        (("lustre",), errno.ENOSYS, "lease, since there is no flock"),
        (("nfs4",), errno.EIO, "not known: Input/output error"),
    ],
)
def test_the_kind_of_lock_is_told_and_nothing_is_left(tmp_path, monkeypatch, made_up_disk, disk, number, begins):
    made_up_disk(*disk)
    if number:

        def refused(*_args):
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(fcntl, "flock", refused)
    told = locks.kind_of_lock(tmp_path)
    assert told == begins if begins == "flock" else told.startswith(begins)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("disk", "warned"), [("nfs4", 1), ("ext4", 0)])
def test_a_board_in_sqlite_on_a_disk_that_machines_share_is_warned_of_once(tmp_path, made_up_disk, disk, warned):
    made_up_disk(disk)
    with logged(logging.WARNING) as said, contextlib.suppress(FileNotFoundError):
        for _ in range(2):
            Store.open(tmp_path).check_writable()
    assert len(said) == warned
    assert all("BENCH_STORE=none on all machines but one" in line for line in said)
