"""The walk-through in docs, executed as a reader would."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests.places import REPOSITORY


@pytest.mark.slow  # some minutes
@pytest.mark.e2e
@pytest.mark.timeout(1800)
def test_the_walkthrough_runs_from_the_first_cell_to_the_last(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    shutil.copytree(REPOSITORY / "jobs", tmp_path / "jobs")
    notebook = nbformat.read(  # type: ignore[no-untyped-call]
        REPOSITORY / "docs" / "walkthrough.ipynb", as_version=4
    )
    kernel = {"metadata": {"path": str(tmp_path / "docs")}}
    NotebookClient(notebook, timeout=900, kernel_name="python3", resources=kernel).execute()
    with closing(sqlite3.connect(tmp_path / "docs" / "walkthrough" / "synthetic_telecom.db")) as connection:
        made = {n for (n,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        assert made == {f"synth_{t}" for t in ("client", "location", "account", "invoice", "payment")}
        (unpaid,) = connection.execute(
            "SELECT count(*) FROM synth_payment WHERE invoice_id NOT IN (SELECT invoice_id FROM synth_invoice)"
        ).fetchone()
    assert unpaid == 0


def test_the_walkthrough_was_executed() -> None:
    """What a reader sees are the outputs of the cells as they stand, and none of them is an error."""
    notebook = nbformat.read(  # type: ignore[no-untyped-call]
        REPOSITORY / "docs" / "walkthrough.ipynb", as_version=4
    )
    cells = [c for c in notebook.cells if c.cell_type == "code"]
    assert [c.execution_count for c in cells] == list(range(1, len(cells) + 1))
    outputs = [o for c in cells for o in c.outputs]
    assert len(outputs) >= 5 and not [o for o in outputs if o.output_type == "error"]
