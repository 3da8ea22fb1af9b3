"""Sets of rows: their order does not matter, empty slots do not count, and what they say is learnt."""

from __future__ import annotations

import torch
from torch import Tensor

from spark_synth.models.autoregressive import Autoregressive
from spark_synth.models.batch import ABSENT, FamilyBatch
from spark_synth.models.deep_sets import DeepSet
from spark_synth.models.spec import GeneratorSpec, SetSpec

SLOTS, CARDS = 6, [3, 4]
NONE: list[list[list[float]]] = [[[]] * card for card in CARDS]
SPEC = SetSpec(SLOTS, CARDS, NONE)


def sets(count: int, seed: int = 0) -> Tensor:
    """Sets of 0 to SLOTS members, the empty slots at the end."""
    torch.manual_seed(seed)
    members = torch.stack([torch.randint(0, card, (count, SLOTS)) for card in CARDS], 2)
    members[torch.arange(SLOTS) >= torch.randint(0, SLOTS + 1, (count, 1))] = ABSENT
    return members.flatten(1)


def test_the_order_of_members_does_not_matter() -> None:
    torch.manual_seed(1)
    model, rows = DeepSet(SPEC, 8, 16), sets(50)
    mixed = rows.view(50, SLOTS, 2)[:, torch.randperm(SLOTS)].flatten(1)
    assert not torch.equal(mixed, rows)
    assert torch.allclose(model(mixed), model(rows), atol=1e-6)
    assert model(rows).std(0).min() > 0


def test_twice_the_same_members_say_the_same_and_nobody_says_nothing_else() -> None:
    model = DeepSet(SPEC, 8, 16)
    one = torch.full((1, SLOTS, 2), ABSENT)
    one[0, 0] = torch.tensor([2, 3])
    two = one.clone()
    two[0, 1] = one[0, 0]
    nobody = torch.full((2, 2 * SLOTS), ABSENT)
    assert torch.allclose(model(one.flatten(1)), model(two.flatten(1)), atol=1e-6)
    assert torch.isfinite(model(nobody)).all() and torch.equal(model(nobody)[0], model(nobody)[1])


def test_rows_follow_their_sets() -> None:
    """The one sub-column is the first code that most members have: learnt, and drawn."""
    torch.manual_seed(3)
    members = torch.randint(0, 3, (600, 1)).expand(600, SLOTS)
    noise = torch.randint(0, 3, (600, SLOTS))
    first = torch.where(torch.rand(600, SLOTS) < 0.8, members, noise)
    rows = torch.stack([first, torch.randint(0, 4, (600, SLOTS))], 2).flatten(1)
    target = torch.mode(first, 1).values[:, None]
    one = torch.ones(600, dtype=torch.int64)
    batch = FamilyBatch(target, torch.zeros(600, 0, dtype=torch.int64), one, 0 * one, one, rows)
    model = Autoregressive(
        GeneratorSpec(cards=[3], sets=[SPEC], frequencies=[[1.0] * 3], hidden=32, head=16, dropout=0)
    )
    steps = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(60):
        steps.zero_grad()
        loss = model.loss(batch)
        loss.backward()  # type: ignore[no-untyped-call]
        steps.step()
    assert float(loss.detach()) < 0.5
    made = model.sample(batch.context, one, 0 * one, one, torch.Generator().manual_seed(0), sets=rows)
    assert (made == target).float().mean() > 0.8
