"""Files of jobs: what is no such file is told in a sentence."""

from __future__ import annotations

import pytest

from bench.core.errors import SpecError
from bench.launch.one_job import main


@pytest.mark.parametrize(
    ("text", "said"), [(None, "Cannot read the job"), ("{", "is no job"), ('{"key": "a"}', "is no job")]
)
def test_what_is_no_job_is_told_and_leaves_no_end(tmp_path, text, said):
    path = tmp_path / "a.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(SpecError, match=said):
        main(path)
    assert not (tmp_path / "a.ended.json").exists()
