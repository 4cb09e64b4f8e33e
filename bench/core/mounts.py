"""Which file system a folder is on, and whether what one machine locks there is locked for the others too.

Linux says it in ``/proc/self/mountinfo`` (proc_pid_mountinfo(5)); elsewhere nothing is known.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")

NETWORK = frozenset(
    {
        *("nfs", "nfs3", "nfs4", "lustre", "gpfs", "beegfs", "ceph", "afs", "orangefs", "pvfs2", "glusterfs"),
        *("cifs", "smb3", "smbfs", "9p", "panfs", "wekafs", "vboxsf"),
        *("fuse.sshfs", "fuse.glusterfs", "fuse.ceph", "fuse.ceph-fuse", "fuse.s3fs", "fuse.rclone", "fuse.gcsfuse"),
        *("fuse.juicefs", "fuse.moosefs", "fuse.mfs"),
    }
)
"""File systems that several machines share."""

LOCKS_OF_ONE_MACHINE = frozenset({"beegfs", "fuse.sshfs", "fuse.s3fs", "fuse.rclone", "fuse.gcsfuse", "vboxsf"})
"""Those that lock for the processes of one machine alone; BeeGFS unless it was configured otherwise, which does not
show in the table of mounts."""

LOCAL_LOCK_OPTIONS = frozenset({"nolock", "local_lock=flock", "local_lock=all", "localflock", "nobrl"})
"""Options of NFS, Lustre and CIFS by which ``flock`` locks for the processes of one machine alone."""

_ESCAPE = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True)
class Mount:
    """A file system in its place.

    Attributes:
        point: Where it is.
        kind: Its type: ``ext4``, ``nfs4``, ``fuse.sshfs``.
        options: Options of the mount and of the file system.
    """

    point: Path
    kind: str
    options: frozenset[str] = frozenset()

    @property
    def is_network(self) -> bool:
        """Whether other machines share it."""
        return self.kind in NETWORK

    @property
    def locks_stay_here(self) -> bool:
        """Whether ``flock`` succeeds on it, but locks nothing for other machines that share it."""
        return self.kind in LOCKS_OF_ONE_MACHINE or (self.is_network and bool(self.options & LOCAL_LOCK_OPTIONS))


def mount_of(path: Path) -> Mount | None:
    """The file system that a file or folder is on, or would be; None where that is not known.

    Args:
        path: A path; what is not there counts as its nearest folder that is.
    """
    place = path.absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    try:
        return _mount_of_device(str(place.resolve()), place.stat().st_dev)
    except OSError:
        return None


@cache
def _mount_of_device(place: str, _device: int) -> Mount | None:
    # The device is asked for because another file system may be mounted there while this process lives.
    try:
        return mount_in(MOUNTS.read_text(encoding="utf-8", errors="surrogateescape"), Path(place))
    except OSError:
        return None


def mount_in(table: str, path: Path) -> Mount | None:
    """The file system of a path in a table of mounts.

    Args:
        table: Text of ``/proc/self/mountinfo``.
        path: An absolute path without links.
    """
    found: Mount | None = None
    for mount in map(_parsed, table.splitlines()):
        # Of two at one point the later one covers the other.
        if mount is not None and path.is_relative_to(mount.point):
            found = mount if found is None or mount.point.is_relative_to(found.point) else found
    return found


def _parsed(line: str) -> Mount | None:
    before, separator, after = line.partition(" - ")
    mounted, described = before.split(), after.split()
    if not separator or len(mounted) < 6 or not described:
        return None
    options = [*mounted[5].split(","), *(described[2].split(",") if len(described) > 2 else [])]
    return Mount(Path(_ESCAPE.sub(lambda code: chr(int(code[1], 8)), mounted[4])), described[0], frozenset(options))
