from __future__ import annotations

import pytest

from spark_synth.training.schedule import (
    JUDGED_ROWS,
    MIN_TRAIN_ROWS,
    NOMINAL_CELLS,
    Cost,
    Places,
    network_width,
    plan_shares,
)


def shares(costs: list[Cost], minutes: float = 1, slots: int = 2, epochs: int = 50):  # type: ignore[no-untyped-def]  # noqa: ANN201
    return plan_shares(costs, minutes, Places(slots, slots), epochs, 4096)


def test_small_work_gets_all_its_epochs() -> None:
    found = shares([Cost("a", 1000, 10, 64), Cost("b", 2000, 10, 64)])
    assert [found[t].epochs for t in "ab"] == [50, 50]
    assert all(s.threads == 1 for t, s in found.items() if t == "a")


def test_large_work_is_cut_to_the_budget() -> None:
    costs = [Cost("big", 50_000, 30, 256), Cost("small", 500, 10, 256), Cost("other", 40_000, 30, 256)]
    found = shares(costs, minutes=10)
    planned = {c.table: found[c.table].epochs * c.cells / NOMINAL_CELLS for c in costs}
    assert sum(planned.values()) <= 10 * 60 * 2
    assert all(1 <= found[t].epochs < 50 for t in ("big", "other"))
    assert found["small"].epochs > found["big"].epochs


def test_one_dominant_table_gets_all_cores() -> None:
    found = shares([Cost("big", 5_000_000, 30, 256), Cost("small", 500, 10, 256)])
    assert (found["big"].threads, found["small"].threads) == (2, 1)
    alone = shares([Cost("big", 5_000_000, 30, 256)], minutes=60)["big"].epochs
    assert alone > shares([Cost("big", 5_000_000, 30, 256)], minutes=60, slots=1)["big"].epochs
    beside = shares([Cost("big", 5_000_000, 30, 256), Cost("other", 500_000, 30, 256)], minutes=60)["big"].epochs
    assert 1 <= beside < alone


def test_too_few_rows_are_not_trained() -> None:
    assert shares([Cost("tiny", MIN_TRAIN_ROWS - 1, 3, 64)])["tiny"].epochs == 0
    assert shares([Cost("small", MIN_TRAIN_ROWS, 3, 64)])["small"].epochs > 0


@pytest.mark.parametrize("rows", [0, 1, 40, 10_000, 10**9])
def test_batches_fit_rows_and_memory(rows: int) -> None:
    for columns in (1, 40, 400):
        batch = shares([Cost("t", rows, columns, 256)])["t"].batch_rows
        assert 16 <= batch <= 4096
        assert batch == 16 or batch * columns * 256 <= 4e7


def test_what_critics_judge_has_larger_batches_in_small_tables() -> None:
    plain, judged = Cost("plain", 1_000, 5, 32), Cost("judged", 1_000, 5, 32, alone=True)
    tiny, large = Cost("tiny", 90, 5, 32, alone=True), Cost("large", 10**6, 5, 32, alone=True)
    found = shares([plain, judged, tiny, large])
    assert found["plain"].batch_rows < JUDGED_ROWS == found["judged"].batch_rows
    assert (found["tiny"].batch_rows, found["large"].batch_rows) == (90, 4096)


def test_the_plan_does_not_look_at_the_clock() -> None:
    costs = [Cost("a", 10**6, 20, 128), Cost("b", 10**5, 20, 128)]
    assert shares(costs) == shares(costs)


@pytest.mark.parametrize(
    ("rows", "columns", "width"), [(0, 5, 32), (100, 5, 32), (1_500, 22, 64), (20_000, 42, 128), (10**6, 20, 256)]
)
def test_networks_grow_with_their_data(rows: int, columns: int, width: int) -> None:
    assert network_width(rows, columns, 256) == width
    assert network_width(rows, columns, 48) == min(48, width)


def test_large_tables_are_shared_by_ranks_and_share_the_time() -> None:
    where = Places(slots=8, threads=4, ranks=2, large=1_000_000)
    costs = [Cost("big", 4_000_000, 30, 256), Cost("next", 2_000_000, 30, 256), Cost("small", 5_000, 10, 64)]
    found = plan_shares(costs, 60, where, 50, 4096)
    assert [(found[t].ranks, found[t].threads) for t in ("big", "next", "small")] == [(2, 4), (2, 4), (1, 1)]
    assert found["big"].nominal + found["next"].nominal <= 60 * 60
    alone = plan_shares(costs[:1], 60, Places(8, 4), 50, 4096)["big"]
    both = plan_shares(costs[:1], 60, where, 50, 4096)["big"]
    assert alone.ranks == 1 and both.epochs == pytest.approx(2 * alone.epochs, abs=1)
    assert both.batch_rows == alone.batch_rows  # of each rank
