"""The wheel and the source distribution: they hold every file of the packages, and work where there is no checkout.

``.ci/package`` does the same with ``build``, in an environment that has nothing but the wheel and what it asks for.
"""

import os
import subprocess
import sys
import tomllib
import zipfile

import pytest
from built_wheels import ROOT, build, contents, copy_sources, source_files, unpack_sdist

LARGEST_WHEEL = 3 * 2**20
HERE = ROOT / "tests" / "packaging"


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    return copy_sources(tmp_path_factory.mktemp("built") / "sources")


@pytest.fixture(scope="module")
def sdist(sources, tmp_path_factory):
    return unpack_sdist(build("sdist", sources, sources.parent / "sdist"), sources.parent / "unpacked")


@pytest.fixture(scope="module")
def wheel(sdist):
    return build("wheel", sdist, sdist.parents[1] / "wheel")


def test_the_wheel_holds_every_file_of_the_packages(sources, wheel):
    held = {name for name in contents(wheel) if ".dist-info/" not in name}
    missing = sorted(source_files(sources) - held)
    assert not missing, f"name their kind in [tool.setuptools.package-data] of pyproject.toml: {missing}"
    assert not held - source_files(sources)


def test_a_wheel_of_the_checkout_is_the_wheel_of_the_source_distribution(sources, wheel):
    assert contents(build("wheel", sources, sources.parent / "direct")) == contents(wheel)


def test_a_kind_of_file_that_is_not_named_is_missed(tmp_path, sources):
    # That the first test can fail: a build leaves out what no pattern names.
    copy = tmp_path / "copy"
    for name in (
        "methods",
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "bench/core/version.py",
        "bench/core/__init__.py",
    ):
        target = copy / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(sources / name)
    (copy / "bench" / "__init__.py").touch()
    (copy / "bench" / "table.unknown").touch()
    (copy / "bench" / "table.csv").touch()
    held = contents(build("wheel", copy, tmp_path / "out"))
    assert "bench/table.csv" in held
    assert "bench/table.unknown" not in held


def test_the_wheel_is_small(wheel):
    with zipfile.ZipFile(wheel) as archive:
        largest = sorted(archive.infolist(), key=lambda info: -info.compress_size)[:8]
    sizes = ", ".join(f"{info.filename} {info.compress_size:,}" for info in largest)
    assert wheel.stat().st_size < LARGEST_WHEEL, f"{wheel.stat().st_size:,} bytes; the largest files: {sizes}"


def test_the_source_distribution_has_what_a_build_needs_and_no_half_of_the_tests(sdist):
    names = {path.name for path in sdist.iterdir()}
    assert {"pyproject.toml", "README.md", "LICENSE", "bench", "leaderboard"} <= names
    assert "tests" not in names


def test_the_metadata_name_the_pythons_that_are_supported(wheel):
    (metadata,) = (text for name, text in contents(wheel).items() if name.endswith("/METADATA"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert f"Requires-Python: {project['requires-python']}" in metadata.decode()
    for version in ("3.11", "3.12", "3.13"):
        assert f"Classifier: Programming Language :: Python :: {version}\n" in metadata.decode()


def test_what_is_installed_works_without_the_checkout(wheel, tmp_path):
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    (tmp_path / "scratch").mkdir()
    # -P: the folder of the script is not looked into.
    command = [sys.executable, "-P", str(HERE / "use_installed.py"), str(tmp_path / "scratch")]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
