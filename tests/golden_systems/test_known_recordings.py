"""Recordings of golden sets are known by their content, not by their names."""

import hashlib
import json

import numpy as np
import pytest
import soundfile
from golden_known import known_recording, known_recordings, real_file

from bench.data.wav import read_header

RATE, COUNT = 4000, 400


def facts_of(kind, path):
    """What a set that has a file of this hash says of it, as the JSON file that has such entries does."""
    header, samples = read_header(path), soundfile.read(path, dtype="float64")[0]
    content = {
        "wav": path.read_bytes(),
        "pcm": path.read_bytes()[header.offset :],
        "f64": samples.astype("<f8").tobytes(),
    }[kind]
    digest = hashlib.sha256(content).hexdigest()
    if kind == "f64":
        entry = {"recording": "a", "rate": RATE, "subtype": "PCM_16", "native_samples": COUNT}
        return {"frontend": {"r0": {**entry, "sha256_samples_f64": digest}}}
    return {"recordings": [{"rec": "a", "sr": RATE, "bits": 16, "n_native": COUNT, f"{kind}_sha256": digest}]}


@pytest.mark.parametrize(
    ("kind", "variable", "name"),
    [
        ("wav", "BENCH_GOLDEN", "features.json"),
        ("pcm", "BENCH_GOLDEN_SYSTEMS", "respirenet.json"),
        ("f64", "BENCH_GOLDEN_SYSTEMS", "cnn8.json"),
    ],
)
def test_another_sound_of_the_same_name_is_not_taken(tmp_path, monkeypatch, kind, variable, name):
    monkeypatch.setenv("BENCH_GOLDEN", str(tmp_path))
    monkeypatch.setenv(variable, str(tmp_path))
    (tmp_path / "icbhi").mkdir()
    path = tmp_path / "icbhi" / "a.wav"
    sound = np.random.default_rng(0).uniform(-0.5, 0.5, COUNT)
    soundfile.write(path, sound, RATE, subtype="PCM_16")
    (tmp_path / name).write_text(json.dumps(facts_of(kind, path)))
    known = known_recording("a")
    assert (known.count, known.rate, known.bits) == (COUNT, RATE, 16)
    assert real_file(tmp_path / "icbhi", "a") == path
    soundfile.write(path, sound[::-1], RATE, subtype="PCM_16")
    with pytest.raises(pytest.skip.Exception, match=r"holds another sound as a\.wav"):
        real_file(tmp_path / "icbhi", "a")
    with pytest.raises(pytest.skip.Exception, match=r"holds no b\.wav"):
        real_file(tmp_path / "icbhi", "b")
    with pytest.raises(pytest.skip.Exception, match="how many samples b has"):
        known_recording("b")


def test_the_set_of_this_project_describes_its_recordings(monkeypatch):
    monkeypatch.delenv("BENCH_GOLDEN", raising=False)
    monkeypatch.delenv("BENCH_GOLDEN_SYSTEMS", raising=False)
    assert known_recordings()["904_1b1_Pl_mc_AKGC417L"].bits == 24
