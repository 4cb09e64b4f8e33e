"""Sound files of any origin: read to the bit as soundfile reads them, and what keeps one from being used."""

import io
import struct

import numpy as np
import pytest
import soundfile

from bench.core.errors import DataError
from bench.data.samples import read_samples
from bench.data.sounds import PIPED, read_sound, spool_sound

RATE = 8000


@pytest.fixture
def noise():
    return np.random.default_rng(1).uniform(-0.5, 0.5, 3 * RATE)


FORMS = {
    "wav": ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ALAW"],
    "flac": ["PCM_16", "PCM_24"],
    "ogg": ["VORBIS"],
    "aiff": ["PCM_16"],
    "au": ["PCM_16"],
    "w64": ["PCM_24"],
}


@pytest.mark.parametrize(("ending", "subtype"), [(ending, form) for ending, forms in FORMS.items() for form in forms])
def test_every_form_is_read_as_soundfile_reads_it(tmp_path, noise, ending, subtype):
    path = tmp_path / f"sound.{ending}"
    soundfile.write(path, noise, RATE, subtype=subtype)
    sound = read_sound(path)
    assert (sound.rate, sound.waves.shape, sound.waves.dtype) == (RATE, (1, 3 * RATE), np.float32)
    assert sound.waves[0].tolist() == soundfile.read(path, dtype="float32")[0].tolist()
    assert sound.seconds == sound.header.seconds == 3.0


def test_a_mono_wav_file_is_what_a_run_is_trained_on(tmp_path, noise):
    soundfile.write(tmp_path / "a.wav", noise, RATE, subtype="PCM_24")
    assert read_sound(tmp_path / "a.wav").waves[0].tolist() == read_samples(tmp_path / "a.wav")[0].tolist()


def test_channels_stay_apart(tmp_path, noise):
    both = np.stack([noise, -0.5 * noise], axis=1)
    soundfile.write(tmp_path / "a.wav", both, RATE, subtype="FLOAT")
    assert read_sound(tmp_path / "a.wav").waves.tolist() == both.T.astype(np.float32).tolist()


def cut(path, size):
    path.write_bytes(path.read_bytes()[:size])


def write(path, samples, rate=RATE, **options):
    soundfile.write(path, samples, rate, **options)


BROKEN = {
    "lasts 0.05 s": lambda path, noise: write(path, noise[:400]),
    "holds no samples": lambda path, noise: write(path, noise[:0]),
    "is empty": lambda path, noise: path.touch(),
    "no sound file": lambda path, noise: path.write_text("start end crackle wheeze\n" * 50),
    "of the 48,000 bytes": lambda path, noise: (write(path, noise, subtype="PCM_16"), cut(path, 20_000)),
    "not finite": lambda path, noise: write(path, np.where(noise > 0.4, np.nan, noise), subtype="FLOAT"),
    "a rate of 500 Hz": lambda path, noise: write(path, noise, rate=500),
    "no regular file, but a folder": lambda path, noise: path.mkdir(),
    "cannot be read": lambda path, noise: None,
}


@pytest.mark.parametrize("words", BROKEN)
def test_what_cannot_be_used_is_named_with_the_reason(tmp_path, noise, words):
    path = tmp_path / "odd.wav"
    BROKEN[words](path, noise)
    with pytest.raises(DataError, match=words) as caught:
        read_sound(path)
    assert str(path) in caught.value.message


def test_a_flac_file_that_was_cut_short_is_refused(tmp_path, noise):
    write(tmp_path / "a.flac", noise)
    cut(tmp_path / "a.flac", 20_000)
    with pytest.raises(DataError):
        read_sound(tmp_path / "a.flac")


def piped(noise, size):
    """A WAV file as a program writes it into a pipe, whose header declares some size of the samples."""
    stream = io.BytesIO()
    soundfile.write(stream, noise, RATE, format="WAV", subtype="PCM_16")
    content = bytearray(stream.getvalue())
    content[40:44] = struct.pack("<I", size)
    return io.BytesIO(bytes(content))


@pytest.mark.parametrize("size", [0xFFFFFFFF, 0x7FFFF000, PIPED])
def test_a_stream_of_unknown_length_is_as_long_as_what_came(tmp_path, noise, size):
    sound = read_sound(spool_sound(piped(noise, size), tmp_path / "stdin.wav"))
    assert sound.waves.shape == (1, 3 * RATE)


def test_a_stream_that_was_cut_short_is_refused_all_the_same(tmp_path, noise):
    path = spool_sound(piped(noise, 60_000), tmp_path / "stdin.wav")
    with pytest.raises(DataError, match="of the 60,000 bytes"):
        read_sound(path)


def test_any_stream_that_soundfile_reads_will_do(tmp_path, noise):
    stream = io.BytesIO()
    soundfile.write(stream, noise, RATE, format="FLAC", subtype="PCM_16")
    stream.seek(0)
    assert read_sound(spool_sound(stream, tmp_path / "stdin.wav")).seconds == 3.0


def test_a_stream_that_is_none_is_a_sentence(tmp_path):
    with (
        tmp_path.joinpath("text").open("wb") as unreadable,
        pytest.raises(DataError, match="standard input cannot be read"),
    ):
        spool_sound(unreadable, tmp_path / "stdin.wav")
    with pytest.raises(DataError, match=r"or kept in .*gone: No such file"):
        spool_sound(io.BytesIO(b"RIFF"), tmp_path / "gone" / "stdin.wav")
