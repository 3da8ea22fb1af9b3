from __future__ import annotations

from datetime import UTC, date, datetime

import numpy as np
import pytest

from spark_synth.encoding.codecs import NumericCodec
from spark_synth.encoding.time_plan import TimePlan


def time_plan(type_: str, unit: int, low: int, step: int, cells: int) -> TimePlan:
    none = NumericCodec(nullable=False)
    return TimePlan("t", type_, unit, None, False, low, low + step * cells - 1, step, cells, none, none)


@pytest.mark.parametrize("day", [date(1969, 12, 31), date(1970, 1, 1), date(2000, 2, 29), date(2024, 12, 31)])
def test_calendar_of_dates(day: date) -> None:
    days = (day - date(1970, 1, 1)).days
    plan = time_plan("date", 1, days - 10, 4, 8)
    assert plan.features(np.array([days])).tolist() == [[10 // 4 + 1, day.weekday(), day.month - 1]]


@pytest.mark.parametrize("unit", [1, 60, 3600])
def test_calendar_of_timestamps(unit: int) -> None:
    moment = datetime(2013, 7, 4, 17, tzinfo=UTC)
    plan = time_plan("timestamp", unit, 0, 10**9, 4)
    assert plan.features(np.array([int(moment.timestamp()) // unit]))[0, 1:].tolist() == [17, 3, 6]


def test_whole_numbers_have_cells_alone_and_no_cell_is_out_of_range() -> None:
    plan = time_plan("int", 1, 1990, 1, 20)
    cells = plan.features(np.array([-5, 1989, 1990, 2009, 2010, 9999]))
    assert cells.tolist() == [[0], [0], [1], [20], [21], [21]]
    assert cells.max() < plan.given_cards[0]
