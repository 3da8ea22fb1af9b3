"""What the terminal shows, and that it may show nothing."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from spark_synth.progress import Progress, set_quiet


def recorded(**options: bool) -> tuple[Progress, io.StringIO]:
    out = io.StringIO()
    return Progress(console=Console(file=out, width=120, highlight=False, **options)), out  # type: ignore[arg-type]


def work(progress: Progress) -> None:
    with progress.stage("train"):
        for epoch in range(1, 4):
            progress.epoch("players[x]", epoch, 3, 1.5, holdout=1.6, rows_per_second=12_345, seconds_left=130)
        progress.rows("players[x]", 10, 1_000)
        progress.done("players[x]", "held-out loss 1.600")
    progress.summary("tables", ["table", "rows"], [["players[x]", "10"]])


def test_plain_lines_are_few() -> None:
    progress, out = recorded()
    work(progress)
    text = out.getvalue()
    assert "train (+0.0 s)" in text and "train: done in" in text
    assert text.count("epoch") == 1
    assert "players[x]: epoch 1/3, loss 1.500, held-out 1.600, 12,345 rows/s, 2 min 10 s left" in text
    assert "players[x]: held-out loss 1.600" in text


def test_a_terminal_gets_bars_that_go_away() -> None:
    progress, out = recorded(force_terminal=True)
    work(progress)
    assert "players[x]: held-out loss 1.600" in out.getvalue()


def test_a_failing_stage_says_so() -> None:
    progress, out = recorded()
    with pytest.raises(ValueError, match="boom"), progress.stage("train"):
        raise ValueError("boom")
    assert "train: stopped after" in out.getvalue()


def test_quiet_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    set_quiet(True)
    try:
        work(Progress())
    finally:
        set_quiet(False)
    work(Progress(quiet=True))
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", "")


def test_progress_leaves_stdout_alone(capsys: pytest.CaptureFixture[str]) -> None:
    work(Progress())
    printed = capsys.readouterr()
    assert printed.out == "" and "train" in printed.err
