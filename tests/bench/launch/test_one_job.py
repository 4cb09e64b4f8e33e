"""A job that comes from a file."""

from __future__ import annotations

import pytest

from bench.core.errors import StoreError
from bench.launch.one_job import main


@pytest.mark.parametrize(
    ("text", "said"), [(None, "cannot be read on"), *((text, "is no file of a job") for text in ("{", "[]", "{}"))]
)
def test_a_file_that_is_no_job_is_a_sentence(tmp_path, text, said):
    path = tmp_path / "job.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(StoreError, match=said):
        main(path)
    assert list(tmp_path.iterdir()) == ([] if text is None else [path])
