"""Tables of pairs say what an untrained network does not know, and nothing that held-out families do not bear out."""

from __future__ import annotations

import math

import numpy as np
import torch

from spark_synth.models.autoregressive import Autoregressive
from spark_synth.models.batch import ABSENT, FamilyBatch
from spark_synth.models.spec import GeneratorSpec
from spark_synth.training.ties import with_ties

ROWS = 400


def generator(**more: object) -> Autoregressive:
    """Three sub-columns of 2, 3 and 3 codes, and a context of 3; every code as frequent as any other."""
    spec = {"cards": [2, 3, 3], "context_cards": [3], "frequencies": [[1.0] * 2, [1.0] * 3, [1.0] * 3]}
    torch.manual_seed(0)
    return Autoregressive(GeneratorSpec(**{**spec, "hidden": 8, "head": 4, **more}))  # type: ignore[arg-type]


def families(seed: int, tied: bool = True, lengths: int = 1) -> FamilyBatch:
    """Rows whose second code mostly is their context's, and whose third mostly is that of the sibling before; the
    first is anything, and so are all if not `tied`.
    """
    rng = np.random.default_rng(seed)
    context = rng.integers(0, 3, (ROWS // lengths, 1))
    codes = np.stack([rng.integers(0, 2, ROWS), rng.integers(0, 3, ROWS), rng.integers(0, 3, ROWS)], 1)
    if tied:
        above = np.repeat(context[:, 0], lengths)
        codes[:, 1] = np.where(rng.random(ROWS) < 0.8, above, codes[:, 1])
        for i in np.flatnonzero(np.arange(ROWS) % lengths):
            codes[i, 2] = codes[i - 1, 2] if rng.random() < 0.8 else codes[i, 2]
    sizes = torch.full((ROWS // lengths,), lengths)
    start = torch.zeros_like(sizes)
    return FamilyBatch(torch.from_numpy(codes), torch.from_numpy(context), sizes, start, sizes)


def tied(model: Autoregressive, seen: FamilyBatch, held: FamilyBatch) -> Autoregressive:
    cards = model.spec.cards + model.spec.context_cards
    return with_ties(model, [[[]] * card for card in cards], [seen], [held])


def losses(model: Autoregressive, batch: FamilyBatch) -> torch.Tensor:
    model.eval()
    with torch.no_grad():
        return model.column_losses(batch) / batch.rows


def test_what_depends_on_the_context_gets_a_table() -> None:
    found = tied(generator(), families(1), families(2))
    assert found.spec.pairs == {1: [3]}  # the context is the fourth column of the surroundings
    fresh = losses(found, families(3))
    entropy = -(0.8 + 0.2 / 3) * math.log(0.8 + 0.2 / 3) - 2 * (0.2 / 3) * math.log(0.2 / 3)
    assert entropy - 0.1 < float(fresh[1]) < entropy + 0.1 < math.log(3)
    assert float(fresh[2]) < math.log(3) + 0.01


def test_siblings_speak_where_rows_follow_each_other() -> None:
    found = tied(generator(recurrent=True, timed=True), families(1, lengths=8), families(2, lengths=8))
    assert 6 in found.spec.pairs[2]  # the same sub-column of the sibling before
    assert float(losses(found, families(3, lengths=8))[2]) < 0.8
    by_key = generator(recurrent=True)  # rows in the order of their keys: what follows what is no tie to repeat
    assert tied(by_key, families(1, lengths=8), families(2, lengths=8)).spec.pairs.keys() == {1}


def test_new_rows_have_the_ties() -> None:
    found = tied(generator(recurrent=True, timed=True), families(1, lengths=8), families(2, lengths=8))
    context, sizes = torch.arange(300)[:, None] % 3, torch.full((300,), 8)
    codes = found.sample(context, sizes, torch.zeros_like(sizes), sizes, torch.Generator().manual_seed(0))
    as_context = (codes[:, 1] == context[:, 0].repeat_interleave(8)).float().mean()
    rows = codes[:, 2].reshape(300, 8)
    as_before = (rows[:, 1:] == rows[:, :-1]).float().mean()
    assert abs(float(as_context) - 0.867) < 0.04 and abs(float(as_before) - 0.867) < 0.06


def test_chance_gets_no_table() -> None:
    found = tied(generator(recurrent=True, timed=True), families(1, tied=False), families(2, tied=False))
    assert sum(map(len, found.spec.pairs.values())) <= 1
    torch.testing.assert_close(
        losses(found, families(3, tied=False)), torch.log(torch.tensor([2.0, 3.0, 3.0])), atol=0.02, rtol=0
    )


def test_columns_that_say_nothing_are_not_asked() -> None:
    seen, held = families(1), families(2)
    seen.codes[:, 2], held.codes[:, 2] = seen.codes[:, 1], held.codes[:, 1]
    model = generator(fixed=2, unseen=[1])
    found = tied(model, seen, held)
    assert found.spec.pairs.keys() == {2} and 1 not in found.spec.pairs[2]


def test_absent_codes_are_no_evidence() -> None:
    seen, held = families(1), families(2)
    seen.codes[::2, 1], held.codes[::2, 1] = ABSENT, ABSENT
    found = tied(generator(), seen, held)
    assert found.spec.pairs == {1: [3]}
    seen.codes[:, 1] = ABSENT
    assert tied(generator(), seen, held).spec.pairs == {}


def test_pairs_that_cannot_be_are_not_drawn() -> None:
    rng = np.random.default_rng(0)
    region = torch.from_numpy(rng.integers(0, 24, 90))
    sizes = torch.ones(90, dtype=torch.int64)
    batch = FamilyBatch(
        torch.stack([region % 8, region], 1), torch.zeros((90, 0), dtype=torch.int64), sizes, sizes - 1, sizes
    )
    held = FamilyBatch(batch.codes[:20], batch.context[:20], sizes[:20], sizes[:20] - 1, sizes[:20])
    model = generator(
        cards=[8, 24], context_cards=[], frequencies=[[1.0] * 8, torch.bincount(region, minlength=24).tolist()]
    )
    found = tied(model, batch, held)
    many = torch.ones(500, dtype=torch.int64)
    drawn = found.sample(torch.zeros((500, 0), dtype=torch.int64), many, many - 1, many, torch.Generator())
    assert (drawn[:, 1] % 8 == drawn[:, 0]).float().mean() > 0.97
