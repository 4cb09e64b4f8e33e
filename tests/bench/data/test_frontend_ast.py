"""Front-end ``ast`` against the authors' numbers and against plain torchaudio."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import torchaudio
from golden_recordings import pretend_recording, write_wav
from torchaudio.compliance import kaldi

from bench.core.errors import DataError, SpecError
from bench.core.options import build_options
from bench.data.frontends import FRONTENDS, ASTFrontEndOptions
from bench.data.frontends.ast import ASTFrontEnd, cut_cycles, log_mel
from bench.data.frontends.waveform import fade_, resample_recording
from bench.data.samples import read_samples

GOLDEN = Path(os.environ.get("BENCH_GOLDEN", Path(__file__).resolve().parents[2] / "golden"))
MEAN, STD = -4.2677393, 4.5689974


def golden_recordings():
    path = GOLDEN / "features.json"
    return json.loads(path.read_text(encoding="utf-8"))["recordings"] if path.is_file() else []


def measured_file(folder, entry):
    """The very file that the authors' code read: some of a set were rebuilt, and their originals hold other samples."""
    found = sorted(folder.rglob(f"{entry['rec']}.wav"))
    same = [one for one in found if hashlib.sha256(one.read_bytes()).hexdigest() == entry["wav_sha256"]]
    if not same:
        pytest.skip(f"BENCH_TEST_ICBHI holds no {entry['rec']}.wav of SHA-256 {entry['wav_sha256'][:12]}…")
    return same[0]


@pytest.fixture(scope="module", params=golden_recordings(), ids=lambda entry: f"{entry['key']}-{entry['rec']}")
def case(request, golden, tmp_path_factory):
    """A recording of the set: its entry, its file and what this front-end makes of it."""
    entry = request.param
    if entry["source"] == "synthetic":
        integers = pretend_recording(
            golden.json("features.json")["seed"], entry["rec"], entry["sr"], entry["bits"], entry["n_native"]
        )
        path = write_wav(tmp_path_factory.mktemp("wav") / f"{entry['rec']}.wav", integers, entry["sr"], entry["bits"])
    else:
        path = measured_file(request.getfixturevalue("icbhi_folder"), entry)
    wave, rate = read_samples(path)
    assert (rate, len(wave)) == (entry["sr"], entry["n_native"])
    spans = [(cycle["start"], cycle["end"]) for cycle in entry["cycles"]]
    recording = ASTFrontEnd().recording(torch.from_numpy(wave), rate)
    return {
        "entry": entry,
        "arrays": golden.arrays("features.npz"),
        "recording": recording.numpy(),
        "waves": cut_cycles(recording, spans).numpy(),
        "images": ASTFrontEnd().features(torch.from_numpy(wave), rate, spans).numpy(),
    }


def assert_stats(values, expected, tolerance, extremes):
    got = values.astype(np.float64)
    np.testing.assert_allclose([got.mean(), got.std()], expected[:2], atol=tolerance, rtol=0)
    np.testing.assert_allclose([got.min(), got.max()], expected[2:], atol=extremes, rtol=0)


@pytest.mark.golden
def test_recording_equals_the_authors_at_16_khz(case):
    key, arrays, got = case["entry"]["key"], case["arrays"], case["recording"]
    assert len(got) == case["entry"]["n_16k"]
    np.testing.assert_allclose(got[arrays[f"{key}/rec16k_pos"]], arrays[f"{key}/rec16k_val"], atol=3e-6, rtol=0)
    edge = np.concatenate([got[:64], got[-64:]])
    np.testing.assert_allclose(edge, arrays[f"{key}/rec16k_edge"], atol=3e-6, rtol=0)
    assert_stats(got, arrays[f"{key}/rec16k_stats"], 3e-6, 3e-6)


@pytest.mark.golden
def test_cycles_equal_the_authors_waveforms(case):
    arrays = case["arrays"]
    assert len(case["waves"]) == len(case["entry"]["cycles"]) > 0
    for cycle, wave in zip(case["entry"]["cycles"], case["waves"], strict=True):
        key = cycle["key"]
        np.testing.assert_allclose(wave[arrays[f"{key}/wav_pos"]], arrays[f"{key}/wav_val"], atol=3e-6, rtol=0)
        assert_stats(wave, arrays[f"{key}/wav_stats"], 3e-6, 3e-6)


@pytest.mark.golden
def test_spectrograms_equal_the_authors(case):
    arrays = case["arrays"]
    for cycle, image in zip(case["entry"]["cycles"], case["images"], strict=True):
        key = cycle["key"]
        difference = np.abs(image.ravel()[arrays[f"{key}/img_pos"]] - arrays[f"{key}/img_val"])
        assert difference.max() <= 5e-3
        assert np.mean(difference <= 2e-4) >= 0.99
        assert_stats(image, arrays[f"{key}/img_stats"], 1e-5, 5e-3)
        exact = image.astype(np.float64)
        np.testing.assert_allclose(exact.mean(axis=1), arrays[f"{key}/img_rowmean"], atol=1e-3, rtol=0)
        np.testing.assert_allclose(exact.mean(axis=0), arrays[f"{key}/img_colmean"], atol=1e-3, rtol=0)
        floor = np.mean(image <= (np.log(np.float32(2**-23)) - MEAN) / (2 * STD) + 1e-6)
        assert abs(floor - cycle["floor_fraction"]) <= 1e-3


@pytest.mark.golden
def test_whole_spectrograms_of_real_cycles_equal_the_authors(case):
    arrays = case["arrays"]
    keys = [cycle["key"] for cycle in case["entry"]["cycles"]]
    if f"{keys[0]}/img_f16" not in arrays:
        pytest.skip("the set holds no whole spectrogram of this recording")
    for key, image in zip(keys, case["images"], strict=True):
        np.testing.assert_allclose(image, arrays[f"{key}/img_f16"].astype(np.float32), atol=6e-3, rtol=0)


def test_golden_recordings_are_found_in_the_default_set():
    default = Path(__file__).resolve().parents[2] / "golden" / "features.json"
    assert len(json.loads(default.read_text(encoding="utf-8"))["recordings"]) == 4


def torchaudio_resampled(wave, rate):
    """The plain version: a kernel per recording."""
    if rate == 16000:
        return wave[None].clone()
    return torchaudio.transforms.Resample(rate, 16000)(wave[None])


def torchaudio_fbank(wave):
    """(1, samples) to log-mel values, the official code's call."""
    return kaldi.fbank(
        wave,
        htk_compat=True,
        sample_frequency=16000,
        use_energy=False,
        window_type="hanning",
        num_mel_bins=128,
        dither=0.0,
        frame_shift=10,
    )


def authors_way(wave, rate, spans):
    """The official steps in plain torchaudio, one cycle at a time."""
    recording = torchaudio.transforms.Fade(1000, 1000, "linear")(torchaudio_resampled(wave, rate))
    length, images = recording.shape[1], []
    for start, end in spans:
        cycle = recording[:, min(int(start * 16000), length) : min(int(end * 16000), length)]
        if cycle.shape[1] > 128000:
            cycle = cycle[:, :128000]
        else:
            cycle = cycle.repeat(1, -(-128000 // cycle.shape[1]))[:, :128000]
            cycle = torchaudio.transforms.Fade(0, 1000, "linear")(cycle)
        images.append((torchaudio_fbank(cycle) - MEAN) / (2 * STD))
    return torch.stack(images)


def breath(seconds, rate, seed=0):
    """Noise that swells and fades, with a constant offset, as a recording."""
    generator = torch.Generator().manual_seed(seed)
    count = int(seconds * rate)
    t = torch.arange(count) / rate
    return (0.1 * torch.randn(count, generator=generator) * (0.2 + torch.sin(2 * t) ** 2) + 0.01).clamp(-1, 1)


@pytest.mark.parametrize(
    ("rate", "count"),
    [
        (44100, 44100),
        (44100, 70001),
        (10000, 12345),
        (4000, 4000),
        (4000, 5),
        (44100, 3),
        (44100, 441),
        (44100, 460),
        (44100, 901),
        (48000, 50001),
        (11025, 9999),
        (16000, 99),
    ],
)
def test_resampling_equals_torchaudio(rate, count):
    wave = breath(count / rate, rate)
    expected = torchaudio_resampled(wave, rate)[0]
    got = resample_recording(wave, rate)
    assert got.shape == expected.shape
    torch.testing.assert_close(got, expected, atol=3e-7, rtol=0)


@pytest.mark.parametrize("rate", [44100, 4000])
def test_a_piece_of_a_recording_is_resampled_as_its_copy(rate):
    wave = breath(1.0, rate)
    for piece in (wave[7:3000], wave[1:2], wave[-30:]):
        assert torch.equal(resample_recording(piece, rate), resample_recording(piece.clone(), rate))


def test_resampling_works_for_a_rate_without_a_common_divisor():
    t = torch.arange(44101, dtype=torch.float64) / 44101
    got = resample_recording(torch.sin(2 * torch.pi * 440 * t).float(), 44101)
    expected = torch.sin(2 * torch.pi * 440 * torch.arange(len(got), dtype=torch.float64) / 16000).float()
    assert len(got) == 16000
    torch.testing.assert_close(got[200:-200], expected[200:-200], atol=2e-3, rtol=0)


@pytest.mark.parametrize("rate", [4000, 10000, 16000, 44100])
def test_features_equal_plain_torchaudio(rate):
    wave = breath(13, rate)
    # Repeats of 20, 270 and 7,999 frames, one longer than 8 s, one of a single frame shift, one beyond the end.
    spans = [(0.0, 0.2), (0.2, 2.9), (2.9, 3.39994), (3.4, 12.5), (12.5, 12.51), (12.51, 99.0)]
    got, expected = ASTFrontEnd().features(wave, rate, spans), authors_way(wave, rate, spans)
    difference = (got - expected).abs()
    assert got.dtype == torch.float32
    assert got.shape == (6, 798, 128)
    assert difference.max() <= 5e-3
    assert difference.quantile(0.999) <= 5e-5


def test_filter_bank_of_a_batch_equals_torchaudio():
    waves = torch.stack([breath(1, 16000, seed) for seed in range(3)])
    expected = torch.stack([torchaudio_fbank(wave[None]) for wave in waves])
    torch.testing.assert_close(log_mel(waves), expected, atol=1e-3, rtol=0)


def test_digital_silence_lies_at_the_floor():
    images = ASTFrontEnd().features(torch.zeros(16000), 16000, [(0.0, 1.0)])
    torch.testing.assert_close(images, torch.full_like(images, -1.27759), atol=1e-5, rtol=0)


def test_features_leave_the_waveform_alone():
    wave = breath(2, 16000)
    before = wave.clone()
    for fade in ("recording", "cycle"):
        ASTFrontEnd(ASTFrontEndOptions(fade=fade)).features(wave, 16000, [(0.0, 1.0)])
    assert torch.equal(wave, before)


def test_features_do_not_depend_on_the_other_cycles():
    wave, front_end = breath(6, 4000), ASTFrontEnd()
    spans = [(0.5, 1.7), (1.7, 4.0), (4.0, 5.9)]
    together = front_end.features(wave, 4000, spans)
    for span, image in zip(spans, together, strict=True):
        assert torch.equal(front_end.features(wave, 4000, [span])[0], image)


def test_shape_follows_the_length():
    assert ASTFrontEnd().shape == (798, 128)
    short = ASTFrontEnd(ASTFrontEndOptions(seconds=4.0))
    assert short.shape == (398, 128)
    wave = breath(3, 4000)
    assert short.features(wave, 4000, [(0.0, 1.0), (1.0, 3.0)]).shape == (2, 398, 128)
    # Without the fade at the end, both lengths begin with the same frames.
    long = ASTFrontEnd().features(wave, 4000, [(0.0, 1.0)])[0]
    torch.testing.assert_close(short.features(wave, 4000, [(0.0, 1.0)])[0, :390], long[:390], atol=1e-5, rtol=0)


def test_fade_cycle_fades_both_ends_of_each_cycle():
    wave = torch.ones(48000)
    options = ASTFrontEndOptions(fade="cycle")
    first, second = cut_cycles(ASTFrontEnd(options).recording(wave, 16000), [(0.0, 1.0), (1.0, 3.0)], options)
    ramp = torch.linspace(0, 1, 1000)
    torch.testing.assert_close(first[:1000], ramp)
    torch.testing.assert_close(first[15000:16000], ramp.flip(0))
    torch.testing.assert_close(second[32000:33000], ramp)
    torch.testing.assert_close(first[1000:15000], torch.ones(14000))


def test_fade_recording_leaves_joints_alone():
    wave = torch.ones(48000)
    recording = ASTFrontEnd().recording(wave, 16000)
    cycle = cut_cycles(recording, [(1.0, 2.0)])[0]
    torch.testing.assert_close(cycle[:127000], torch.ones(127000))
    torch.testing.assert_close(cycle[127000:], 1 - torch.linspace(0, 1, 1000))
    assert recording[0] == recording[-1] == 0


@pytest.mark.parametrize(("seconds", "faded"), [(8.0, True), (8.0001, False)])
def test_only_cycles_that_are_cut_keep_their_end(seconds, faded):
    cycle = cut_cycles(torch.ones(160000), [(0.0, seconds)])[0]
    assert (cycle[-1] == 0) == faded


def test_fades_of_short_waves_take_the_whole_length():
    torch.testing.assert_close(fade_(torch.ones(3)), torch.tensor([0.0, 0.25, 0.0]))


def test_normalise_std_is_twice_the_official_value():
    wave = breath(2, 4000)
    official = ASTFrontEnd().features(wave, 4000, [(0.0, 2.0)])
    plain = ASTFrontEnd(ASTFrontEndOptions(normalise="std")).features(wave, 4000, [(0.0, 2.0)])
    torch.testing.assert_close(plain, 2 * official)


@pytest.mark.parametrize("span", [(5.0, 6.0), (1.0, 1.0), (1.0, 1.00001), (1.5, 1.0)])
def test_empty_cycle_names_recording_and_cycle(span):
    with pytest.raises(DataError, match=r"Cycle 1 of 101_x .*recording of 2\.000 s"):
        ASTFrontEnd().features(breath(2, 4000), 4000, [(0.0, 1.0), span], name="101_x")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"secnds": 4}, "did you mean 'seconds'"),
        ({"seconds": 0.1}, "0.1.*at least 0.5"),
        ({"fade": "none"}, "recording, cycle"),
        ({"normalise": "3std"}, "2std, std"),
    ],
)
def test_bad_options_are_refused(values, message):
    with pytest.raises(SpecError, match=message):
        build_options(FRONTENDS.card("ast").options, values, "front-end ast")


def test_card_is_complete_and_builds():
    for entry in FRONTENDS:
        card = entry.card
        assert card.id == entry.id
        assert all([card.title, card.summary, card.source, card.citation])
        assert card.version >= 1
        assert entry.load()(card.options()).shape == card.options().shape


def test_registry_and_bank_import_no_torch():
    code = "import sys, bench.data.bank, bench.data.frontends; print('torch' in sys.modules)"
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.perf
def test_faster_than_one_cycle_at_a_time():
    """CPU time of one process. The bound lies below what a quiet machine shows, because shared caches move it."""
    recordings = []
    for rate, seconds, cycle in ((44100, 20, 2.512), (4000, 25, 2.707), (44100, 20, 3.019)):
        spans = [(k * cycle, (k + 1) * cycle) for k in range(int(seconds / cycle))]
        recordings.append((breath(seconds, rate), rate, spans))
    front_end, threads = ASTFrontEnd(), torch.get_num_threads()
    torch.set_num_threads(1)

    def cpu_seconds(way):
        begin = time.process_time()
        for recording in recordings:
            way(*recording)
        return time.process_time() - begin

    try:
        cpu_seconds(front_end.features)
        pairs = [(cpu_seconds(authors_way), cpu_seconds(front_end.features)) for _ in range(5)]
    finally:
        torch.set_num_threads(threads)
    ratio = min(plain for plain, _ in pairs) / min(fast for _, fast in pairs)
    assert ratio >= 2.5, f"only {ratio:.2f} times as fast as one cycle at a time"
