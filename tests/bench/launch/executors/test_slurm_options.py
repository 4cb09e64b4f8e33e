"""The options of Slurm jobs, and the script that they become; no Slurm is needed."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from bench.core.errors import SpecError
from bench.launch.executors.slurm_options import SlurmOptions, options_file, slurm_options, time_seconds
from bench.launch.executors.slurm_script import arrays_of, sbatch_script
from bench.launch.jobs import Job, LaunchOptions

PAGE = (Path(__file__).resolve().parents[4] / "docs" / "slurm.md").read_text(encoding="utf-8")


@pytest.fixture
def options(monkeypatch, tmp_path):
    """Writes the user's file of options."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))

    def write(text):
        options_file().parent.mkdir(parents=True)
        options_file().write_text(text)

    return write


def job(tmp_path, key="3f2a", **needs):
    return Job(key=key, module="tiny", task={}, name=f"run {key}", log=tmp_path / "log", **needs)


def script(tmp_path, jobs, at_a_time=None, **slurm):
    return sbatch_script(LaunchOptions(launcher="slurm", jobs=at_a_time, slurm=slurm), jobs, tmp_path / "jobs")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 5400),
        ("2:30", 150),
        ("1:30:00", 5400),
        ("2-12", 216000),
        ("1-0:30", 88200),
        ("1-01:01:01", 90061),
    ],
)
def test_times_are_read_as_sbatch_reads_them(text, seconds):
    assert time_seconds(text) == seconds


def test_options_of_the_command_line_go_over_those_of_the_file(options):
    options('partition = "gpu"\ntime = "2:00:00"\nsetup = ["module load cuda"]\n[sbatch]\nconstraint = "a100"\n')
    read = slurm_options({"partition": "short", "cpus": "4", "sbatch.exclusive": "", "sbatch.nice": "10"})
    assert (read.partition, read.time, read.cpus, read.setup) == ("short", "2:00:00", 4, ("module load cuda",))
    assert read.sbatch == {"constraint": "a100", "exclusive": True, "nice": "10"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"partion": "gpu"}, "unknown option 'partion': did you mean 'partition'?"),
        ({"time": "2 hours"}, "time is '2 hours': no time as sbatch takes it"),
        ({"gpus": "0"}, "gpus is '0': neither a number nor a kind"),
        ({"cpus": "many"}, "cpus is 'many': input should be a valid integer"),
        ({"time": "1", "notice": 60}, "notice, 60 seconds before the end, must be shorter than time 1"),
        ({"python": "/no/such/python"}, "/no/such/python, which is no program here"),
        ({"python": "env 'A=1 python"}, "python of Slurm is no command of a shell: No closing quotation"),
        ({"sbatch": "exclusive"}, "given one by one, as sbatch.NAME"),
        ({"sbatch.job-name": "mine"}, "sbatch's job-name is set by bench itself"),
        ({"sbatch.array": "0-3"}, "sbatch's array is set by bench itself"),
        ({"sbatch.mem": "3G"}, "sbatch's mem is the option memory here"),
    ],
)
def test_a_wrong_option_is_named(options, tmp_path, given, said):
    with pytest.raises(SpecError) as caught:
        script(tmp_path, [job(tmp_path)], **given)
    assert said in caught.value.message


@pytest.mark.parametrize(
    ("text", "said"), [("qoss = 1\n", "unknown option 'qoss': did you mean 'qos'?"), ("qos = ", "is no TOML")]
)
def test_a_wrong_file_is_named(options, text, said):
    options(text)
    with pytest.raises(SpecError) as caught:
        slurm_options({})
    assert str(options_file()) in caught.value.message
    assert said in caught.value.message


def test_the_script_asks_for_what_its_jobs_need(options, tmp_path):
    jobs = [job(tmp_path, key=f"run{number}", device="cuda", processes=2) for number in range(5)]
    asked = {"partition": "gpu", "account": "lungs", "qos": "high", "time": "4:00:00", "memory": "32G", "cpus": 4}
    text = script(tmp_path, jobs, at_a_time=3, gpus="a100", setup="module load cuda\nulimit -c 0", **asked)
    flags = {line.removeprefix("#SBATCH --") for line in text.splitlines() if line.startswith("#SBATCH")}
    assert flags >= {
        "array=0-4%3",
        "partition=gpu",
        "account=lungs",
        "qos=high",
        "time=4:00:00",
        "mem=32G",
        "gres=gpu:a100:2",
        "cpus-per-task=8",
        "ntasks-per-node=1",
        "requeue",
        "signal=B:USR1@120",
        "open-mode=append",
    }
    assert not any(flag.startswith(("wckey", "error")) for flag in flags)
    assert "\nmodule load cuda\nulimit -c 0\n" in text
    assert f'{sys.executable} -m bench job "$file" &' in text
    assert f"#   {tmp_path}/jobs/run0.json\n" in text
    assert "#   and 2 more\n" in text


def test_processes_on_several_nodes_are_steps_of_srun(options, tmp_path):
    text = script(tmp_path, [job(tmp_path, device="cuda", processes=4, nodes=2)], cpus=3)
    assert "#SBATCH --nodes=2\n" in text
    assert "#SBATCH --ntasks-per-node=2\n" in text
    assert "#SBATCH --gres=gpu:2\n" in text
    assert f'srun --kill-on-bad-exit=0 --cpus-per-task=3 {sys.executable} -m bench job "$file" &' in text


def test_processes_that_do_not_divide_are_refused(options, tmp_path):
    with pytest.raises(SpecError, match="3 processes of run 3f2a cannot be spread evenly over 2 nodes"):
        script(tmp_path, [job(tmp_path, processes=3)], nodes=2)


def test_each_shape_is_an_array_of_its_own(options, tmp_path):
    runs = [job(tmp_path, key=f"run{number}", device="cuda") for number in range(2001)]
    arrays = list(arrays_of([*runs, job(tmp_path, key="bank")], slurm_options({"nodes": 2})))
    assert [(shape.gpu, shape.nodes, len(jobs)) for shape, jobs in arrays] == [
        (False, 1, 1),
        (True, 1, 1000),
        (True, 1, 1000),
        (True, 1, 1),
    ]


def test_the_page_describes_every_option_and_its_file_is_read(options):
    assert re.findall(r"^\| `(\w+)` \| `--", PAGE, re.MULTILINE) == list(SlurmOptions.model_fields)
    options(re.search(r"```toml\n(.*?)```", PAGE, re.DOTALL)[1])
    read = slurm_options({})
    assert (read.partition, read.cpus, read.sbatch["constraint"]) == ("gpu", 8, "a100|h100")
    for name in ("notice", "restarts"):
        assert f"; {SlurmOptions.model_fields[name].default} |" in PAGE
