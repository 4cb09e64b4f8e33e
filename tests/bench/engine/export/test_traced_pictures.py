"""Front-ends within a program: their traced pictures are those that they make of the same waveforms."""

import pytest
import torch

from bench.core.errors import SpecError
from bench.core.inputs import by_name
from bench.data.frontends import FRONTENDS, TraceableFrontEnd
from bench.data.frontends.chosen import choose_front_end
from bench.data.frontends.encoders.options import FITS
from bench.data.units import UnitWaves
from bench.engine.export.programs import untraceable_reason

SHORT = {"seconds": 1.0}
TRACED = [
    ("ast", SHORT),
    ("scl", SHORT),
    ("scl", {"seconds": 1.0, "normalise": "batch"}),
    ("mfcc-mel", SHORT),
    ("log-mel-segments", SHORT),
    ("gammatone", {}),
    ("gammatone", {"bank": "mel"}),
    ("l3s", SHORT),
    ("logmel-image", {"seconds": 1.0, "size": 32}),
    ("respirenet", {"enlargement": 1}),
    ("respirenet", {"enlargement": 1, "pad_side": "before"}),
    *(("waveform", {**SHORT, "fit": fit}) for fit in FITS),
    ("waveform", {**SHORT, "fit": "pad", "lengths": True}),
    *(("kaldi-fbank", {"frames": 98, "fit": fit}) for fit in FITS),
    ("kaldi-fbank", {"frames": 98, "rate": 8000, "window": "povey", "scale": 32_768.0, "mels": 40}),
    *(("stft-mel", {**SHORT, "rate": 8000, "highest_hz": 4000.0, "fit": fit}) for fit in FITS),
    ("stft-mel", {**SHORT, "law": "whisper", "rate": 16_000, "highest_hz": 8000.0}),
]
NOT_TRACED = {
    "lungattn": "of whole recordings",
    "lungbrn": "of whole recordings",
    "lungrn-nl": "of whole recordings",
    "sadaco": "no pictures that can be traced",
}

NOT_A_FRAME = [("kaldi-fbank", {"frames": 98, "fit": "pad"}, 0.01), ("kaldi-fbank", {"frames": 98}, 0.985)]
"""A cycle that is shorter than a frame, and one of exactly the length."""


def built(name, options):
    return choose_front_end(name, options).build()


@pytest.mark.parametrize(
    ("name", "options", "length"),
    [*((*one, length) for one in TRACED for length in (0.31, 9.3)), ("ast", SHORT, 1.0), *NOT_A_FRAME],
    ids=str,
)
def test_the_pictures_are_those_of_the_front_end(name, options, length):
    frontend = built(name, options)
    size = int(length * frontend.sample_rate)
    waves = 0.1 * torch.randn(2, size, generator=torch.Generator().manual_seed(size))
    wanted = by_name(frontend.picture(UnitWaves.of(list(waves))))
    found = by_name(frontend.traced_picture(waves))
    assert found.keys() == wanted.keys()
    for key, picture in wanted.items():
        torch.testing.assert_close(found[key], picture, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("name", "words"), NOT_TRACED.items())
def test_what_cannot_be_traced_says_why(name, words):
    frontend = built(name, {})
    assert not isinstance(frontend, TraceableFrontEnd)
    assert words in untraceable_reason(frontend, name)


def test_pictures_that_depend_on_the_device_are_left_out():
    frontend = built("logmel-image", {"size": 32, "spectrum_correction": True})
    with pytest.raises(SpecError, match="recording device"):
        frontend.traced_picture(torch.zeros(1, 100))
    assert "recording device" in untraceable_reason(frontend, "logmel-image")


def test_every_front_end_is_spoken_of():
    ids = {entry.card.id for entry in FRONTENDS}
    assert ids == {name for name, _ in TRACED} | NOT_TRACED.keys()
