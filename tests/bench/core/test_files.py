"""Files that are never half-written, their permissions, what killed processes leave, and locks without flock."""

import errno
import fcntl
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from bench.core import files, locks
from bench.core.errors import StoreError
from bench.core.files import advice, atomic_path, exclusive_lock, output_path, sweep, temporary_name, write_json


def mode_of(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o002, 0o664), (0o077, 0o600), (0o027, 0o640)])
def test_a_new_file_has_what_the_umask_leaves(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        write_json(tmp_path / "a.json", {"x": 1})
    finally:
        os.umask(before)
    assert mode_of(tmp_path / "a.json") == mode
    assert json.loads((tmp_path / "a.json").read_text()) == {"x": 1}


def test_a_library_that_writes_for_its_owner_alone_changes_nothing(tmp_path):
    before = os.umask(0o002)
    try:
        with atomic_path(tmp_path / "model.safetensors") as path:
            path.unlink()
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
    finally:
        os.umask(before)
    assert mode_of(tmp_path / "model.safetensors") == 0o664


def test_a_mount_that_refuses_chmod_serves(tmp_path, monkeypatch):
    def refused(*_args, **_kwargs):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    for name in ("chmod", "fchmod", "lchmod"):
        monkeypatch.setattr(os, name, refused, raising=False)
    monkeypatch.setattr(Path, "chmod", refused)
    write_json(tmp_path / "a.json", [1])
    assert (tmp_path / "a.json").is_file()


def test_what_cannot_be_written_leaves_nothing_and_keeps_the_old_file(tmp_path):
    target = tmp_path / "a.json"
    write_json(target, "old")

    def fill_the_disk():
        with atomic_path(target) as path:
            path.write_text("half")
            path.with_name(path.name + "-wal").write_text("beside")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(StoreError, match=r"Cannot write .*a\.json: No space left"):
        fill_the_disk()
    assert json.loads(target.read_text()) == "old"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "Free space"),
        (errno.EDQUOT, "Free space"),
        (errno.EACCES, "can write"),
        (errno.EROFS, "can write"),
    ],
)
def test_advice_fits_the_reason(number, words):
    assert words in advice(OSError(number, os.strerror(number)))
    assert "Free space" not in advice(OSError(errno.EPERM, "x"))


def test_long_names_of_any_bytes_can_be_written(tmp_path):
    for name in ("n" * 250, os.fsdecode(b"caf\xe9-" + b"x" * 200), "ж" * 120):
        write_json(tmp_path / name, 1)
        assert (tmp_path / name).read_text().strip() == "1"


def test_the_next_start_sweeps_what_killed_processes_left(tmp_path):
    script = (
        "import os, sys; from pathlib import Path; from bench.core.files import atomic_path\n"
        f"with atomic_path(Path({str(tmp_path / 'model.safetensors')!r})) as path:\n"
        "    path.write_bytes(b'x' * 1000); os.kill(os.getpid(), 9)\n"
    )
    assert subprocess.run([sys.executable, "-c", script]).returncode == -9
    (left,) = tmp_path.iterdir()
    mine = temporary_name(tmp_path / "mine")
    mine.write_text("under way")
    assert sweep(tmp_path) == [left], "only what the dead process left"
    assert mine.is_file()


def test_the_next_writer_in_a_folder_removes_what_killed_ones_left(tmp_path):
    """Of a process that cannot be: no such number is given."""
    target, cut = tmp_path / "x[1].csv", f"-{os.getpid()}-"
    left = [temporary_name(target).name.replace(cut, f"-{2**22 + 1}-") for _ in range(2)]
    other = temporary_name(tmp_path / "y.csv").name.replace(cut, f"-{2**22 + 1}-")
    mine = temporary_name(target).name
    for name in (*left, other, mine):
        (tmp_path / name).touch()
    with output_path(target) as path:
        path.write_text("whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([mine, target.name])


def test_a_folder_is_looked_through_once_however_many_files_are_written(tmp_path, monkeypatch):
    looked = []
    monkeypatch.setattr(files, "sweep", lambda folder, **_: looked.append(folder))
    for number in range(5):
        write_json(tmp_path / f"{number}.json", number)
    assert looked == [tmp_path]


def test_a_folder_that_a_killed_process_left_is_swept_with_all_that_is_in_it(tmp_path):
    script = (
        "import os, sys; from pathlib import Path; from bench.core.files import temporary_name\n"
        f"path = temporary_name(Path({str(tmp_path / 'set')!r})); (path / 'in it').mkdir(parents=True)\n"
        "(path / 'in it' / 'file').write_text('x'); os.kill(os.getpid(), 9)\n"
    )
    assert subprocess.run([sys.executable, "-c", script]).returncode == -9
    (left,) = tmp_path.iterdir()
    mine, user = temporary_name(tmp_path / "set"), tmp_path / "of the user"
    mine.mkdir()
    user.mkdir()
    link = tmp_path / left.name.replace(".set.", ".link.")
    link.symlink_to(user)
    assert sorted(sweep(tmp_path)) == sorted([left, link])
    assert sorted(tmp_path.iterdir()) == sorted([mine, user])


def test_another_machines_temporary_stays_for_a_day(tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(files, "_machine", lambda: "00000000")
        other = temporary_name(tmp_path / "a")
    other.write_text("x")
    assert sweep(tmp_path) == []
    day = time.time() - files.ABANDONED_SECONDS - 10
    os.utime(other, (day, day))
    assert sweep(tmp_path) == [other]


def test_files_of_the_user_are_never_swept(tmp_path):
    for name in (".notes.tmp", "a.tmp", ".x.12-34.tmp", ".vimrc"):
        (tmp_path / name).write_text("mine")
        os.utime(tmp_path / name, (0, 0))
    assert sweep(tmp_path) == []
    assert sweep(tmp_path / "nowhere") == []


FLOCK_REFUSED = [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP]


def refuse(number):
    def refused(*_args):
        raise OSError(number, os.strerror(number))

    return refused


def hold(path, flock_fails, stopped=locks.STOPPED_SECONDS):
    """A process that takes the lock, says so, and holds it until it is killed, or until it has read a line."""
    script = (
        "import fcntl, sys; from pathlib import Path; from bench.core import locks\n"
        f"locks.STOPPED_SECONDS, locks.BEAT_SECONDS = {stopped}, {stopped / 20}\n"
        f"if {flock_fails}:\n"
        "    def refused(*a): raise OSError(38, 'Function not implemented')\n"
        "    fcntl.flock = refused\n"
        f"with locks.exclusive_lock(Path({str(path)!r})):\n    print('held', flush=True); sys.stdin.readline()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "held\n"
    return process


@pytest.mark.parametrize("number", [*FLOCK_REFUSED, 0])
def test_a_killed_holders_lock_is_free(tmp_path, monkeypatch, number):
    path = tmp_path / "lock"
    holder = hold(path, bool(number))
    if number:
        monkeypatch.setattr(fcntl, "flock", refuse(number))
    said = []

    def waited(text):
        said.append(text)
        holder.kill()
        holder.wait()

    monkeypatch.setattr(locks, "SOFT_POLL_SECONDS", 0.02)
    with exclusive_lock(path, waited):
        # Without flock the holder may be on another machine.
        where = f" on {socket.gethostname()}" if number else ""
        assert said == [f"process {holder.pid}{where}"]
    with exclusive_lock(path, lambda _text: pytest.fail("it is free")):
        pass


def test_a_lock_whose_holder_stands_still_is_taken_over(tmp_path, monkeypatch):
    """The holder lives, as far as another machine can know, but its heart has stopped."""
    path = tmp_path / "lock"
    holder = hold(path, True, stopped=2.0)
    monkeypatch.setattr(fcntl, "flock", refuse(errno.ENOSYS))
    monkeypatch.setattr(locks, "STOPPED_SECONDS", 2.0)
    monkeypatch.setattr(locks, "BEAT_SECONDS", 0.1)
    monkeypatch.setattr(locks, "SOFT_POLL_SECONDS", 0.05)
    holder.send_signal(signal.SIGSTOP)
    with exclusive_lock(path, lambda holder: None):
        marker = (tmp_path / "lock.held").read_text()
        assert f"pid={os.getpid()}" in marker
        holder.send_signal(signal.SIGCONT)
        # The one that wakes up says that it lost its lock, and leaves that of the other one alone.
        assert "was lost" in holder.stderr.readline()
        holder.communicate("\n", timeout=30)
        assert holder.returncode == 0
        assert (tmp_path / "lock.held").read_text() == marker
    assert not (tmp_path / "lock.held").exists()


def test_a_holder_is_given_many_beats_before_it_counts_as_gone():
    assert locks.STOPPED_SECONDS >= 10 * locks.BEAT_SECONDS


def test_a_file_system_without_any_lock_is_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(fcntl, "flock", refuse(errno.EIO))
    with pytest.raises(StoreError, match=r"The file system of .*lock has no locks"), exclusive_lock(tmp_path / "lock"):
        pass


@pytest.mark.parametrize("number", FLOCK_REFUSED)
def test_a_library_that_needs_flock_is_refused_a_folder_without(tmp_path, monkeypatch, number):
    locks.check_flock(tmp_path, "Use another.")
    monkeypatch.setattr(fcntl, "flock", refuse(number))
    with pytest.raises(StoreError, match=r"The file system of .* has no locks") as caught:
        locks.check_flock(tmp_path, "Use another.")
    assert caught.value.hint == "Use another."
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("number", "lacks"), [*((number, True) for number in FLOCK_REFUSED), (errno.EAGAIN, False)])
def test_locks_of_parts_of_files_are_tried(tmp_path, monkeypatch, number, lacks):
    assert not locks.lacks_record_locks(tmp_path)
    assert not locks.lacks_record_locks(tmp_path / "nowhere")
    monkeypatch.setattr(fcntl, "lockf", refuse(number))
    assert locks.lacks_record_locks(tmp_path) == lacks
    assert list(tmp_path.iterdir()) == []


def test_folders_of_killed_processes_are_swept_too(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    script = (
        "import os; from bench.core.files import temporary_folder\n"
        "with temporary_folder('bench-group') as folder:\n"
        "    (folder / 'store').write_text('x'); print(folder, flush=True); os.kill(os.getpid(), 9)\n"
    )
    left = Path(subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout.strip())
    assert left.parent == tmp_path
    assert (left / "store").is_file()
    monkeypatch.setattr(files.tempfile, "tempdir", None)
    with files.temporary_folder("bench-group") as mine:
        assert list(tmp_path.iterdir()) == [mine]
        assert mode_of(mine) == 0o700
        assert sweep(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_whoever_holds_the_lock_sweeps_everything_that_was_being_made(tmp_path):
    for name in (".a.json.00000000-1-00000000.tmp", ".a.json.abcd1234.tmp", ".tmpN0sDx7"):
        (tmp_path / name).write_text("x")
    (tmp_path / "a.json").write_text("x")
    assert len(sweep(tmp_path, held=True)) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_a_folder_is_tried_by_writing(tmp_path, monkeypatch):
    files.check_writable(tmp_path / "new")
    assert list((tmp_path / "new").iterdir()) == []

    def full(self, content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(StoreError, match=r"Cannot write into .*: No space left on device") as caught:
        files.check_writable(tmp_path / "new")
    assert "Free space" in caught.value.hint
    assert list((tmp_path / "new").iterdir()) == []


# --- where a user wants a result ----------------------------------------------------------------------------------


def deliver(target, text="new"):
    with output_path(target) as path:
        path.write_text(text)


def test_a_result_replaces_a_file_whole(tmp_path):
    target = tmp_path / "new folder" / "a.csv"
    deliver(target, "old")

    def fail_half_way():
        with output_path(target) as path:
            path.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_half_way()
    assert target.read_text() == "old"
    assert list(target.parent.iterdir()) == [target]


def test_links_stay_and_their_files_are_replaced(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to("there/file")
    for text in ("made through a dangling link", "made again"):
        deliver(tmp_path / "one", text)
        assert (tmp_path / "there" / "file").read_text() == text
    assert (tmp_path / "one").is_symlink()
    assert (tmp_path / "two").is_symlink()


def test_the_null_device_stays_and_takes_everything(tmp_path):
    (tmp_path / "link").symlink_to(os.devnull)
    for target in (Path(os.devnull), tmp_path / "link"):
        deliver(target)
        assert stat.S_ISCHR(target.stat().st_mode)
    assert list(tmp_path.iterdir()) == [tmp_path / "link"]


def test_a_reader_that_goes_early_is_no_error(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    with output_path(tmp_path / "pipe") as path:
        path.write_text("x" * 1_000_000)
        threading.Timer(0.2, os.close, [reader]).start()
    assert (tmp_path / "pipe").is_fifo()


def kinds_that_are_refused(folder):
    (folder / "folder").mkdir()
    (folder / "loop").symlink_to("loop")
    (folder / "full").symlink_to("/dev/full")
    (folder / "file").write_text("")
    return {
        "folder": "is a folder",
        "loop": "Too many levels of symbolic links",
        "full": "is a device",
        "file/below": "Not a directory",
        "s": "is a socket",
    }


def test_what_takes_no_result_is_left_as_it_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a socket's path is short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s")
        for name, reason in kinds_that_are_refused(tmp_path).items():
            before = os.lstat(name) if "/" not in name else None
            with pytest.raises(StoreError, match=reason):
                deliver(Path(name))
            assert before is None or os.path.samestat(os.lstat(name), before)
    assert not list(tmp_path.glob(".*.tmp"))


def test_a_full_standard_output_is_told():
    code = "from pathlib import Path\nfrom bench.core.files import output_path\n"
    code += "with output_path(Path('-')) as path:\n    path.write_text('x')\n"
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([sys.executable, "-c", code], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode != 0
    assert "StoreError: Cannot write -: No space left on device." in done.stderr


def test_a_document_that_is_no_json_leaves_the_old_one(tmp_path):
    target = tmp_path / "new" / "folder" / "a.json"
    write_json(target, {"Röntgen": [1, None]})
    assert target.read_text(encoding="utf-8") == '{\n "Röntgen": [\n  1,\n  null\n ]\n}\n'
    before = target.read_bytes()
    for odd, error in ((float("nan"), ValueError), ({1, 2}, TypeError)):
        with pytest.raises(error):
            write_json(target, {"a": odd})
        assert target.read_bytes() == before
        assert list(target.parent.iterdir()) == [target]


def test_an_interruption_leaves_nothing_half_written(tmp_path):
    def interrupt():
        with atomic_path(tmp_path / "a") as path:
            path.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupt()
    assert list(tmp_path.iterdir()) == []


def test_writers_side_by_side_leave_one_whole_document(tmp_path):
    target, failed = tmp_path / "a.json", []

    def write(number):
        try:
            for _ in range(5):
                write_json(target, [number] * 2000)
        except StoreError as error:
            failed.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    document = json.loads(target.read_text())
    assert len(document) == 2000
    assert len(set(document)) == 1
    assert list(tmp_path.iterdir()) == [target]


def test_temporary_names_differ_and_stand_beside_their_target(tmp_path):
    made = {temporary_name(tmp_path / "a.json") for _ in range(100)}
    assert len(made) == 100
    assert {path.parent for path in made} == {tmp_path}
    assert all(path.name.startswith(".a.json.") and str(os.getpid()) in path.name for path in made)


def test_a_new_file_must_not_be_there(tmp_path):
    files.new_file(tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == b""
    with pytest.raises(FileExistsError):
        files.new_file(tmp_path / "a")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileExistsError):
        files.new_file(tmp_path / "link")
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize(
    ("written", "meant"),
    [("~", "HOME"), ("~/a/b", "HOME/a/b"), ("a/~", "a/~"), ("/~nosuchuser", "/~nosuchuser"), ("", "."), ("/a", "/a")],
)
def test_a_home_folder_is_meant_at_the_beginning_alone(tmp_path, monkeypatch, written, meant):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert files.home_expanded(Path(written)) == Path(meant.replace("HOME", str(tmp_path)))


def test_the_advice_on_a_home_folder_that_is_none_can_be_followed(tmp_path):
    """A path forgets a ``./`` before it, so that this is no way out."""
    for written in (Path("~nosuchuser"), Path("./~nosuchuser")):
        with pytest.raises(StoreError, match="There is no home folder ~nosuchuser") as caught:
            files.home_expanded(written)
        assert caught.value.hint == "Write the whole path of a file of that name."
    with output_path(tmp_path / "~nosuchuser") as path:
        path.write_text("written")
    assert (tmp_path / "~nosuchuser").read_text() == "written"


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EBADF])
def test_a_folder_that_cannot_be_synced_is_left_alone(tmp_path, monkeypatch, number):
    monkeypatch.setattr(os, "fsync", refuse(number))
    files.sync_folder(tmp_path)
    (tmp_path / "a").touch()
    with pytest.raises(OSError, match=os.strerror(number)):
        files.sync_file(tmp_path / "a")


def test_a_disk_that_fails_while_a_folder_is_synced_is_told(tmp_path, monkeypatch):
    before = len(list(Path("/proc/self/fd").iterdir()))
    monkeypatch.setattr(os, "fsync", refuse(errno.EIO))
    with pytest.raises(OSError, match="Input/output error"):
        files.sync_folder(tmp_path)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_every_file_and_folder_of_a_tree_is_synced_and_no_link_followed(tmp_path, monkeypatch):
    tree = tmp_path / "tree"
    (tree / "a" / "b").mkdir(parents=True)
    for name in ("one", "a/two", "a/b/three"):
        (tree / name).write_text("x")
    (tree / "gone").symlink_to("nowhere")
    synced = []
    monkeypatch.setattr(os, "fsync", lambda number: synced.append(Path(f"/proc/self/fd/{number}").readlink()))
    files.sync_tree(tree)
    expected = [tree, tree / "a", tree / "a" / "b", tree / "one", tree / "a/two", tree / "a/b/three"]
    assert sorted(synced) == sorted(expected)
    assert synced[-1] == tree, "the folder itself comes last"


def test_a_temporary_folder_is_of_its_user_alone_and_gone_in_the_end(tmp_path, monkeypatch):
    monkeypatch.setattr(files.tempfile, "tempdir", str(tmp_path))

    def fail():
        with files.temporary_folder("bench-x") as folder:
            assert mode_of(folder) == 0o700
            assert folder.name.startswith(".bench-x.")
            (folder / "inner").mkdir()
            (folder / "inner" / "file").write_text("x")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_without_a_place_for_temporary_files_the_variable_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(files.tempfile, "tempdir", str(tmp_path / "absent"))
    with (
        pytest.raises(StoreError, match=r"Cannot write temporary files into .*absent: No such file") as caught,
        files.temporary_folder("bench-x"),
    ):
        pytest.fail("there is no such place")
    assert "TMPDIR" in caught.value.hint


def test_a_name_as_killed_processes_leave_it_is_told_from_others_by_all_its_parts(tmp_path):
    """Of a process that cannot be: no such number is given."""
    left = temporary_name(tmp_path / "a")
    gone = left.name.replace(f"-{os.getpid()}-", f"-{2**22 + 1}-")
    names = [gone, f"{gone}-wal", gone[1:], gone.replace(".tmp", ".bak"), gone.replace(f"-{2**22 + 1}-", "-x-")]
    for name in names:
        (tmp_path / name).touch()
    assert sorted(path.name for path in sweep(tmp_path)) == sorted(names[:2])
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names[2:])
