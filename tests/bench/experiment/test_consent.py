"""Code that a document names: which files may be loaded, who is asked, and that nothing of them is run by asking."""

from __future__ import annotations

from pathlib import Path

import pytest
from pinned_specs import recipe_spec

from bench.core.errors import SpecError
from bench.experiment.consent import agreed_plugins
from bench.experiment.plugins import file_version, needed_files

NEVER = "raise SystemExit('the code was run')\n"


@pytest.fixture
def plugins(tmp_path):
    """Two files whose code must not run, and one that a spec does not need."""
    found = []
    for name in ("one", "two", "other"):
        found.append(tmp_path / f"{name}.py")
        found[-1].write_text(f"{NEVER}# {name}\n")
    return found


def spec_with(extensions, plugins=()):
    return recipe_spec("ast", "ce", "demo", extensions=extensions, plugins=tuple(map(str, plugins)))


def refuse(version, path):
    pytest.fail(f"nobody is to be asked about {version} {path}")


def asked_for(spec, named, answer=True):
    """What is agreed on, and what was asked."""
    asked = []

    def allow(version, path):
        asked.append((version, path))
        return answer

    return agreed_plugins(spec, named, allow), asked


@pytest.mark.parametrize("listed", [False, True])
@pytest.mark.parametrize("named", [None, []])
def test_a_spec_that_needs_no_code_loads_none(plugins, named, listed):
    """Also where it lists files: nobody needs them."""
    spec = spec_with({}, plugins if listed else ())
    assert agreed_plugins(spec, named, refuse) == ()


def test_the_code_of_a_package_is_nobodys_file():
    assert agreed_plugins(spec_with({"method": "their-package==1.0"}), None, refuse) == ()


def test_each_needed_file_is_asked_about_once_with_its_version(plugins):
    one, two, _ = plugins
    spec = spec_with({"model": file_version(one), "method": file_version(two), "frontend": file_version(one)}, plugins)
    agreed, asked = asked_for(spec, None)
    assert agreed == (str(one), str(two))
    assert asked == [(file_version(one), one), (file_version(two), two)]


def test_code_that_is_refused_is_named_with_what_to_do(plugins):
    one, two, _ = plugins
    spec = spec_with({"model": file_version(one), "method": file_version(two)}, plugins)
    with pytest.raises(SpecError, match=f"The spec names code to run .*{one}, {two}.*nobody here has asked") as caught:
        asked_for(spec, None, answer=False)
    assert f"--plugin {one} --plugin {two}" in caught.value.hint
    with pytest.raises(SpecError, match="names code to run") as caught:
        agreed_plugins(spec, None, lambda _version, path: path == one)
    assert str(one) not in caught.value.message
    assert str(two) in caught.value.message


def test_who_names_the_files_is_not_asked(plugins, tmp_path, monkeypatch):
    one, _, other = plugins
    monkeypatch.chdir(tmp_path)
    spec = spec_with({"method": file_version(one)}, ["/absent.py"])
    assert agreed_plugins(spec, [Path("one.py"), other], refuse) == (str(one), str(other))


def test_a_file_is_known_by_its_content_and_not_by_its_name(plugins, tmp_path):
    one, two, _ = plugins
    copy = tmp_path / "copy.py"
    copy.write_bytes(one.read_bytes())
    assert file_version(copy) == file_version(one) != file_version(two)
    spec = spec_with({"method": file_version(one)})
    assert agreed_plugins(spec, [copy], refuse) == (str(copy),)
    one.write_text(one.read_text() + "#\n")
    with pytest.raises(
        SpecError, match=f"The run's method 'ce' was {file_version(copy)}, but the one here is"
    ) as caught:
        agreed_plugins(spec, [one], refuse)
    assert f"{file_version(one)} ({one})" in caught.value.message


def test_code_that_is_nowhere_is_told_with_its_version(plugins):
    spec = spec_with({"model": file_version(plugins[0])})
    for named in (None, []):
        with pytest.raises(SpecError, match=r"model 'ast' comes from a plug-in .* that is not here") as caught:
            agreed_plugins(spec, named, refuse)
        assert file_version(plugins[0]) in caught.value.message
    assert needed_files(spec, plugins[:1]) == {file_version(plugins[0]): plugins[0]}


@pytest.mark.parametrize("odd", ["absent.py", "folder", "a\0b.py"])
def test_a_file_that_cannot_be_read_is_told_as_a_plugin(tmp_path, odd):
    (tmp_path / "folder").mkdir()
    spec = spec_with({"method": "sha256:0123456789abcdef"})
    with pytest.raises(SpecError, match=r"^Cannot read ") as caught:
        agreed_plugins(spec, [tmp_path / odd], refuse)
    assert caught.value.hint == "Name a Python file with --plugin."
