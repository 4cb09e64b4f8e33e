"""What a process of a run makes of errors: memory that ran out is told from what failed by itself."""

from __future__ import annotations

import pytest
from small_runs import SETTINGS

import bench
from bench.core.error_wire import error_document, read_error
from bench.core.errors import MemoryRunError
from bench.engine.hooks import Hooks
from bench.launch.rank import execute


def test_memory_that_ran_out_is_an_error_of_its_own_also_in_another_process(small_data, small_cache, tmp_path):
    def too_much(spec, on_progress):
        raise MemoryError

    spec = bench.resolve("ast", "ce", data=small_data, cache=small_cache, settings=SETTINGS, device="cpu", epochs=1)
    with pytest.raises(MemoryRunError, match="The machine ran out of memory") as caught:
        execute(spec, tmp_path, hooks=Hooks(open_data=too_much))
    assert "micro_batch" in caught.value.hint
    assert isinstance(read_error(error_document(caught.value)), MemoryRunError)
