"""Several small arrays sent to a device at once; a device that is not the CPU is torch's "meta"."""

import numpy as np
import pytest
import torch

from bench.engine import host_arrays
from bench.engine.host_arrays import array_on, arrays_on

ARRAYS = (
    np.array([3, 1, 2]),
    np.array([[True, False, True]]),
    np.float32([1.5, -2.5]),
    np.array(0.25),
    np.empty((0, 4), np.int64),
    np.arange(12, dtype=np.float64).reshape(3, 4)[:, ::2],
)


def test_on_the_cpu_they_are_taken_as_they_are():
    first, *_ = arrays_on(torch.device("cpu"), *ARRAYS)
    assert first.data_ptr() == ARRAYS[0].ctypes.data
    assert torch.equal(array_on(torch.device("cpu"), ARRAYS[5]), torch.tensor([[0.0, 2], [4, 6], [8, 10]]).double())


def test_one_buffer_holds_them_all_and_gives_them_back():
    # What a GPU gets, but for the copy itself.
    places, size = host_arrays._layout(ARRAYS)
    assert all(place % host_arrays.ALIGNMENT == 0 for place in places)
    buffer = torch.full((size,), 7, dtype=torch.uint8)
    host_arrays._fill(buffer, ARRAYS, places)
    for array, tensor in zip(ARRAYS, host_arrays._views(buffer, ARRAYS, places), strict=True):
        assert tensor.numpy().dtype == array.dtype
        assert tensor.shape == array.shape
        np.testing.assert_array_equal(tensor.numpy(), array)


def test_another_device_gets_one_copy(monkeypatch):
    copies = []
    plain = torch.Tensor.to
    monkeypatch.setattr(torch.Tensor, "to", lambda self, *a, **k: copies.append(k) or plain(self, *a, **k))
    found = arrays_on(torch.device("meta"), *ARRAYS)
    assert copies == [{"non_blocking": True}]
    assert [tuple(tensor.shape) for tensor in found] == [array.shape for array in ARRAYS]
    assert all(tensor.device.type == "meta" for tensor in found)


@pytest.mark.parametrize("array", ARRAYS)
def test_one_alone(array):
    assert array_on(torch.device("cpu"), array).shape == array.shape
