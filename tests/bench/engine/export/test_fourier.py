"""Fourier transforms as matrix products: the numbers of torch's own."""

import pytest
import torch

from bench.engine.export.fourier import FourierProducts

WAVES = torch.randn(2, 3000, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("size", [256, 401])
def test_a_transform_of_frames(size):
    frames = WAVES[:, :size]
    with FourierProducts():
        found = torch.fft.rfft(frames)
    torch.testing.assert_close(found, torch.fft.rfft(frames), rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    "options",
    [
        {"n_fft": 256, "hop_length": 128},
        {"n_fft": 512, "hop_length": 100, "win_length": 200},
        {"n_fft": 256, "hop_length": 64, "center": False},
        {"n_fft": 256, "hop_length": 64, "pad_mode": "constant"},
    ],
)
def test_a_short_time_transform(options):
    window = torch.hann_window(options.get("win_length", options["n_fft"]), dtype=torch.float64)
    with FourierProducts():
        found = torch.stft(WAVES, **options, window=window, return_complex=True)
    wanted = torch.stft(WAVES, **options, window=window, return_complex=True)
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-9)


@pytest.mark.parametrize("options", [{"normalized": True}, {"onesided": False}])
def test_what_no_front_end_asks_for_is_refused(options):
    with FourierProducts(), pytest.raises(NotImplementedError, match=next(iter(options))):
        torch.stft(WAVES, 256, window=torch.hann_window(256), hop_length=64, return_complex=True, **options)
