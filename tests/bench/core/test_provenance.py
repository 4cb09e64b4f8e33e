"""Where a result comes from: commit and changes of the package's own checkout alone, and a hash of its sources."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
from pathlib import Path

import pytest

from bench.core import machine, provenance
from bench.core.provenance import OWN_PACKAGES, PACKAGES, code_version, package_versions
from bench.core.version import __version__


def git(folder, *words):
    identity = ["-c", "user.name=me", "-c", "user.email=me@host", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", "-C", str(folder), *identity, *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A small checkout of this project, whose version is asked for anew each time."""
    root = tmp_path / "lungbench"
    for package in OWN_PACKAGES:
        (root / package / "inner").mkdir(parents=True)
        (root / package / "__init__.py").write_text("")
        (root / package / "inner" / "module.py").write_text(f"x = {package!r}\n")
    (root / "bench" / "core").mkdir()
    monkeypatch.setattr(provenance, "__file__", str(root / "bench" / "core" / "provenance.py"))
    for variable in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(variable)
    code_version.cache_clear()
    yield root
    code_version.cache_clear()


def version_now():
    code_version.cache_clear()
    return code_version()


def test_without_a_checkout_the_hash_alone_tells_the_code(checkout):
    found = version_now()
    assert {**found, "source_sha256": ""} == {
        "version": __version__,
        "commit": None,
        "dirty": None,
        "source_sha256": "",
    }
    assert len(found["source_sha256"]) == 64


def test_the_commit_is_that_of_the_checkout_and_a_change_of_the_code_is_seen(checkout):
    git(checkout, "init", "--quiet")
    git(checkout, "add", ".")
    git(checkout, "commit", "--quiet", "-m", "first")
    clean = version_now()
    assert clean["commit"] == git(checkout, "rev-parse", "HEAD")
    assert clean["dirty"] is False
    (checkout / "notes.txt").write_text("of no package")
    assert version_now() == clean
    (checkout / "methods" / "new.py").write_text("y = 1\n")
    changed = version_now()
    assert changed["dirty"] is True
    assert changed["commit"] == clean["commit"]
    assert changed["source_sha256"] != clean["source_sha256"]


def test_the_commit_of_a_folder_around_it_is_not_the_codes(checkout):
    git(checkout.parent, "init", "--quiet")
    git(checkout.parent, "add", ".")
    git(checkout.parent, "commit", "--quiet", "-m", "somebody's own")
    assert version_now()["commit"] is None
    assert version_now()["dirty"] is None


def test_without_git_there_is_no_commit(checkout, monkeypatch):
    git(checkout, "init", "--quiet")
    monkeypatch.setenv("PATH", str(checkout))
    assert version_now()["commit"] is None


def test_a_git_that_hangs_is_not_waited_for(checkout, monkeypatch):
    def hang(*_words, timeout, **_options):
        raise subprocess.TimeoutExpired("git", timeout)

    monkeypatch.setattr(subprocess, "run", hang)
    assert version_now()["commit"] is None


def hash_of(root):
    """The same hash, written anew."""
    files = [path for package in OWN_PACKAGES for path in sorted((root / package).rglob("*.py"))]
    parts = [part for path in files for part in (os.fsencode(path.relative_to(root)), path.read_bytes())]
    return hashlib.sha256(b"".join(part + b"\0" for part in parts)).hexdigest()


def test_the_hash_is_of_names_and_contents_of_the_sources_alone(checkout):
    first = version_now()["source_sha256"]
    assert first == hash_of(checkout)
    (checkout / "bench" / "data.json").write_text("{}")
    (checkout / "tests").mkdir()
    (checkout / "tests" / "test_x.py").write_text("")
    assert version_now()["source_sha256"] == first
    seen = {first}
    module = checkout / "baselines" / "inner" / "module.py"
    for change in (
        lambda: module.write_text("x = 2\n"),
        lambda: module.rename(module.with_name("other.py")),
        lambda: (checkout / "leaderboard" / "new.py").write_text(""),
    ):
        change()
        seen.add(version_now()["source_sha256"])
        assert version_now()["source_sha256"] == hash_of(checkout)
    assert len(seen) == 4


def test_this_code_has_the_hash_of_its_files():
    root = Path(provenance.__file__).resolve().parents[2]
    code_version.cache_clear()
    assert code_version()["source_sha256"] == hash_of(root)
    assert code_version() is code_version()


def test_the_packages_that_numbers_depend_on_are_named_whether_they_are_here_or_not(monkeypatch):
    found = package_versions()
    assert list(found) == ["python", *PACKAGES]
    assert found["python"] == platform.python_version()
    assert found["numpy"] == __import__("numpy").__version__
    monkeypatch.setattr(provenance, "PACKAGES", ("numpy", "no-such-package-at-all"))
    assert package_versions()["no-such-package-at-all"] is None


# The machine


def write_cpuinfo(monkeypatch, tmp_path, content):
    path = tmp_path / "cpuinfo"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setattr(machine, "Path", lambda _name: path)


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"processor\t: 0\nmodel name\t: Some CPU @ 2.0: GHz\nmodel name\t: Other\n", "Some CPU @ 2.0: GHz"),
        (b"model name : caf\xe9\n", "caf\ufffd"),
        (b"processor : 0\n", "of the platform"),
        (b"", "of the platform"),
        (None, "of the platform"),
    ],
)
def test_the_processor_is_named_as_the_system_names_it(monkeypatch, tmp_path, content, name):
    write_cpuinfo(monkeypatch, tmp_path, content)
    monkeypatch.setattr(platform, "processor", lambda: "of the platform")
    assert machine.cpu_name() == name


def test_a_system_without_a_name_of_its_processor_names_its_kind(monkeypatch, tmp_path):
    write_cpuinfo(monkeypatch, tmp_path, None)
    monkeypatch.setattr(platform, "processor", lambda: "")
    assert machine.cpu_name() == platform.machine()


def test_cores_are_those_that_this_process_may_use(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: {3, 5, 8}, raising=False)
    assert machine.usable_cores() == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    for count, cores in ((7, 7), (None, 1)):
        monkeypatch.setattr(os, "cpu_count", lambda count=count: count)
        assert machine.usable_cores() == cores


@pytest.mark.parametrize(
    ("given", "spins"),
    [({}, "10000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "active"}, None)],
)
def test_threads_may_sleep_unless_the_user_decided_otherwise(monkeypatch, given, spins):
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        # Set first, so that what the call leaves is taken back in the end.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    machine.let_threads_sleep()
    assert os.environ.get("GOMP_SPINCOUNT") == spins
