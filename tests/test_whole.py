"""Files that are there whole or not at all."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from spark_synth.whole import write_json, write_whole

KILLED = """
import os, signal, sys
from pathlib import Path
from spark_synth.whole import write_whole

def write(path):
    path.write_text('{"half')
    os.kill(os.getpid(), signal.SIGKILL)

write_whole(Path(sys.argv[1]), write)
"""


def test_a_writer_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "below" / "state.json"
    write_json(path, {"tables": ["a"]})

    def fail(there: Path) -> None:
        there.write_text("half")
        raise OSError("no room")

    with pytest.raises(OSError, match="no room"):
        write_whole(path, fail)
    assert json.loads(path.read_text()) == {"tables": ["a"]}
    assert list(path.parent.iterdir()) == [path]


def test_a_writer_that_is_killed_is_written_over(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    write_json(path, 1)
    killed = subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert json.loads(path.read_text()) == 1
    write_json(path, 2)
    assert json.loads(path.read_text()) == 2 and list(tmp_path.iterdir()) == [path]
