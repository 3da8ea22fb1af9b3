"""What the driver hears of tables that train."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from spark_synth.training.loop import tell
from spark_synth.training.place import _tell
from tests.training.made import made_job


def test_half_a_line_is_passed_over(tmp_path: Path) -> None:
    """What a full disk leaves of one does not stop a training that goes on."""
    job, heard = replace(made_job("none", tmp_path / "t"), table="t"), list[tuple[str, dict[str, Any]]]()
    assert _tell(job, 0, lambda table, entry: heard.append((table, entry))) == 0
    scratch = Path(job.scratch)
    scratch.mkdir(parents=True)
    tell(scratch, {"epoch": 1})
    with (scratch / "progress.jsonl").open("a") as lines:
        lines.write('{"epo')
    seen = _tell(job, 0, lambda table, entry: heard.append((table, entry)))
    assert (seen, heard) == (1, [("t", {"epoch": 1})])
    tell(scratch, {"epoch": 2})
    tell(scratch, {"epoch": 3})
    assert _tell(job, seen, lambda table, entry: heard.append((table, entry))) == 3
    assert heard[1:] == [("t", {"epoch": 3})]
