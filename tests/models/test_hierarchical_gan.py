"""Levels of the GAN together: penalty, conditions, gradients through the tree, turns, and what they learn."""

from __future__ import annotations

import math
from copy import deepcopy
from dataclasses import replace
from typing import cast

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spark_synth.models.batch import ABSENT, FamilyBatch
from spark_synth.models.gan_columns import NominalHead
from spark_synth.models.gan_critic import Critic
from spark_synth.models.gan_distance import code_counts
from spark_synth.models.gan_generator import Made
from spark_synth.models.hierarchical_gan import (
    HierarchicalGan,
    Sample,
    asked_loss,
    gradient_penalty,
    pick_by_code,
    stretches,
)
from spark_synth.models.spec import GanSpec, GeneratorSpec
from spark_synth.training.adversarial import JUDGED, Alternation, collapsed_columns, revive_codes

DEGREES = 4  # codes of the parents' degree: one to four rows
NETWORKS = ["lstm", "cnn"]


def family_toy(families: int, generator: torch.Generator) -> dict[str, FamilyBatch]:
    """Parents of a degree and two columns, and their rows of one column, with

    p(second = first of the parent) = 0.85; p(column = first of the parent) = 0.8 in the first row, and p(column = that
    of the previous sibling) = 0.8 after it; the degree is 1 to 4, more where the first is 1. Codes are 0 and 1.
    """

    def flip(x: Tensor, share: float) -> Tensor:
        return torch.where(torch.rand(x.shape, generator=generator) < share, 1 - x, x)

    first = (torch.rand(families, generator=generator) < 0.4).long()
    degree = torch.randint(0, 3, (families,), generator=generator) + first
    parents = torch.stack([degree, first, flip(first, 0.15)], 1)
    lengths, now, rows = degree + 1, first, []
    for _ in range(DEGREES):
        now = flip(now, 0.2)
        rows.append(now)
    one, none = torch.ones_like(lengths), torch.zeros(families, 0, dtype=torch.int64)
    under_way = torch.arange(DEGREES) < lengths[:, None]
    codes = torch.stack(rows, 1)[under_way][:, None]
    return {
        "parents": FamilyBatch(parents, none, one, one - 1, one),
        "items": FamilyBatch(codes, parents, lengths, one - 1, lengths),
    }


def tree(network: str, packed: int = 2, hidden: int = 24) -> HierarchicalGan:
    torch.manual_seed(0)
    gan, cards = GanSpec(network, 8, packed), [DEGREES, 2, 2]
    parents = GeneratorSpec(cards, frequencies=[[2.0, 3.0, 3.0, 1.0], [3.0, 2.0], [3.0, 2.0]], hidden=hidden, gan=gan)
    items = GeneratorSpec(
        [2], context_cards=cards, recurrent=True, frequencies=[[1.0, 1.0]], hidden=hidden, head=12, gan=gan
    )
    return HierarchicalGan({"parents": parents, "items": items}, {"items": "parents"}, {"parents": 1})


class Linear(nn.Module):
    """A critic that weighs the numbers of rows and of contexts, and adds up packs."""

    def __init__(self, packed: int, rows: Tensor, context: Tensor) -> None:
        super().__init__()
        self.packed, self.of_rows, self.of_context = packed, rows, context

    def forward(self, rows: Tensor, context: Tensor, batch: FamilyBatch, condition: Tensor) -> Tensor:
        families = torch.zeros(len(batch.lengths)).index_add(0, batch.family(), rows @ self.of_rows)
        return (families + context @ self.of_context).view(-1, self.packed).sum(1)


def test_the_penalty_is_that_of_a_linear_critic() -> None:
    """Each row has the gradient w, each context v: a pack with n rows of m families has the norm (n w² + m v²)^0.5."""
    lengths = torch.tensor([2, 1, 3, 1])
    batch = FamilyBatch(torch.zeros(7, 1).long(), torch.zeros(4, 2).long(), lengths, lengths * 0, lengths)
    real = Sample(torch.randn(7, 2), torch.randn(4, 1), batch, lengths)
    fake = Sample(torch.randn(7, 2), torch.randn(4, 1), batch, lengths)
    critic = cast(Critic, Linear(2, torch.tensor([0.3, 0.4]), torch.tensor([0.5])))
    norms = [math.sqrt(n * 0.25 + 2 * 0.25) for n in (3, 4)]
    expected = sum((x - 1) ** 2 for x in norms) / 2
    assert float(gradient_penalty(critic, real, fake)) == pytest.approx(expected, abs=1e-5)


def test_rows_that_are_picked_have_the_code_that_is_asked_for() -> None:
    gan = tree("lstm")
    level = gan.levels["parents"]
    batch = family_toy(400, torch.Generator().manual_seed(0))["parents"]
    batch.codes[:, 2] = 0
    batch.codes[7, 2] = 1  # rare, but picked often
    torch.manual_seed(0)
    picked, condition = pick_by_code(level, batch)
    asked = condition < level.no_condition
    assert 0.4 < float(asked.double().mean()) < 0.6
    assert torch.equal(picked.codes[~asked], batch.codes[~asked])
    for j, low in zip(level.columns.nominal, (0, 4, 6), strict=True):
        mine = (condition >= low) & (condition < low + level.spec.cards[j])
        assert mine.any() and torch.equal(picked.codes[mine, j], condition[mine] - low)
    assert int((condition == 7).sum()) > 10
    items = family_toy(10, torch.Generator())["items"]
    assert gan.picked("items", items)[0] is items  # rows of families are not picked one by one


def test_generators_pay_for_codes_that_were_asked_for() -> None:
    gan = tree("lstm")
    level = gan.levels["parents"]
    batch = family_toy(3, torch.Generator().manual_seed(0))["parents"]
    logits = [torch.randn(3, k) for k in level.spec.cards]
    condition = torch.tensor([4 + 1, level.no_condition, 2])
    expected = F.cross_entropy(logits[1][:1], torch.tensor([1])) + F.cross_entropy(logits[0][2:], torch.tensor([2]))
    torch.testing.assert_close(asked_loss(level, Made([], logits), batch, condition), expected / 2)


@pytest.mark.parametrize("network", NETWORKS)
def test_owners_are_made_with_the_degrees_of_the_real_ones(network: str) -> None:
    gan = tree(network)
    items = family_toy(60, torch.Generator().manual_seed(0))["items"]
    items.context[5] = ABSENT
    made = gan.owners("parents", items.context)
    real = gan.levels["items"].above(items.context)
    assert torch.equal(made[:, :DEGREES], real[:, :DEGREES])
    assert not torch.equal(made, real) and not made[5].any()
    fake, rows = gan.fake("items", items, gan.levels["items"].conditions(items))
    assert rows.chosen[0].shape == (items.rows, 2) and fake.batch.lengths is items.lengths
    torch.testing.assert_close(rows.chosen[0].detach().sum(1), torch.ones(items.rows))


@pytest.mark.parametrize("network", NETWORKS)
def test_the_gradient_of_the_lower_critic_reaches_the_generator_above(network: str) -> None:
    gan = tree(network)
    items = family_toy(40, torch.Generator().manual_seed(0))["items"]
    gan.generator_loss("items", items).backward()  # type: ignore[no-untyped-call]
    upper, lower = gan.levels["parents"], gan.levels["items"]
    outs = [net.heads[i].get_parameter("out.weight") for net, i in ((upper.generator, 1), (lower.generator, 0))]
    for part in (upper.generator.value.own, *outs):
        assert part.grad is not None and part.grad.any()
    assert not any(p.grad is not None for p in upper.critic.parameters())


def test_trees_are_checked() -> None:
    gan = tree("cnn")
    specs = {name: level.spec for name, level in gan.levels.items()}
    with pytest.raises(ValueError, match="must come first"):
        HierarchicalGan(dict(reversed(specs.items())), {"items": "parents"})
    with pytest.raises(ValueError, match="is not that of a row"):
        HierarchicalGan({"parents": specs["parents"], "items": specs["parents"]}, {"items": "parents"})


def deep_tree(network: str) -> HierarchicalGan:
    """Three levels, each of one code more."""
    gan = GanSpec(network, 4, 2)
    specs = {}
    above: list[int] = []
    for name, cards in (("a", [2, 3]), ("b", [2, 4]), ("c", [5])):
        specs[name] = GeneratorSpec(cards, context_cards=above, recurrent=name != "a", hidden=8, head=4, gan=gan)
        above = [*cards, *above]
    return HierarchicalGan(specs, {"b": "a", "c": "b"}, {"a": 1, "b": 1})


@pytest.mark.parametrize("network", NETWORKS)
def test_deeper_trees_repeat_the_step(network: str) -> None:
    torch.manual_seed(0)
    gan = deep_tree(network)
    lengths = torch.tensor([2, 1, 3])

    def rows(count: int, cards: list[int]) -> Tensor:
        return torch.stack([torch.randint(0, k, (count,)) for k in cards], 1)

    a, b = rows(3, [2, 3]), rows(6, [2, 4])
    one, six = torch.ones(3).long(), torch.ones(6).long()
    twice = 2 * six
    above_b = torch.repeat_interleave(a, lengths, 0)
    batches = {
        "a": FamilyBatch(a, a[:, :0], one, one - 1, one),
        "b": FamilyBatch(b, a, lengths, lengths * 0, lengths),
        "c": FamilyBatch(rows(12, [5]), torch.cat([b, above_b], 1), twice, twice * 0, twice),
    }
    before = deepcopy(gan.state_dict())
    Alternation(gan, 1e-2).turn(batches)
    for i in range(3):
        for part in ("generator.noise.weight", "critic.row.weight", "recogniser.row.weight"):
            assert not torch.equal(before[f"parts.{i}.{part}"], gan.state_dict()[f"parts.{i}.{part}"])


def test_of_long_families_stretches_are_judged() -> None:
    torch.manual_seed(0)
    lengths = torch.tensor([7, 2, 5])
    codes, size = torch.arange(14)[:, None], lengths + 10
    batch = FamilyBatch(codes, torch.arange(3)[:, None], lengths, torch.tensor([10, 0, 0]), size)
    seen = set()
    for _ in range(40):
        some = stretches(batch, 3)
        assert some.lengths.tolist() == [3, 2, 3] and some.size.tolist() == size.tolist()
        first = (
            torch.tensor([10, -7, -9])[some.family()] + some.codes[:, 0]
        )  # what follows from a row's place in `batch`
        assert torch.equal(first, some.start[some.family()] + some.position())
        seen.add(int(some.start[0]))
    assert seen == {10, 11, 12, 13, 14}
    assert stretches(batch, 7) is batch


def test_turns_go_on_where_they_were_stored() -> None:
    gan, generator = tree("lstm"), torch.Generator().manual_seed(0)
    batches = [family_toy(16, generator) for _ in range(JUDGED + 3)]  # critics judge again in what is repeated
    turns = Alternation(gan)
    for batch in batches[:2]:
        turns.turn(batch)
    weights, state, random = deepcopy(gan.state_dict()), deepcopy(turns.state_dict()), torch.get_rng_state()
    for batch in batches[2:]:
        turns.turn(batch)
    other = tree("lstm")
    other.load_state_dict(weights)
    again = Alternation(other)
    again.load_state_dict(state)
    torch.set_rng_state(random)
    for batch in batches[2:]:
        again.turn(batch)
    for key, value in gan.state_dict().items():
        assert torch.equal(value, other.state_dict()[key]), key
    last = gan.levels["items"].generator.base.detach().clone()
    with turns.averaged():
        assert not torch.equal(last, gan.levels["items"].generator.base)
    assert torch.equal(last, gan.levels["items"].generator.base)


def test_a_generator_that_makes_one_code_has_collapsed() -> None:
    gan = tree("cnn")
    batch = family_toy(300, torch.Generator().manual_seed(0))["items"]
    assert not collapsed_columns(gan, "items", [batch])
    with torch.no_grad():
        gan.levels["items"].generator.heads[0].get_parameter("usual")[0] += 50
    assert collapsed_columns(gan, "items", [batch]) == [0]


@pytest.mark.slow  # half a minute each
@pytest.mark.timeout(600)
@pytest.mark.parametrize("network", NETWORKS)
def test_known_conditional_distributions_are_learnt(network: str) -> None:
    """Within 0.06 of the shares that family_toy names, rows hanging on parents that were drawn, too."""
    torch.set_num_threads(1)
    gan, generator = tree(network), torch.Generator().manual_seed(1)
    turns, steps, rate = Alternation(gan), 800, 5e-3
    for step in range(steps):
        turns.set_rate(rate * min(1.0, 0.02 + 2 * (1 - step / steps)))
        turns.turn(family_toy(128, generator))
    count = 6000
    one = torch.ones(count, dtype=torch.int64)
    with turns.averaged():
        parents = gan.levels["parents"].sample(one[:, None][:, :0], one, one - 1, one, generator)
        parents = parents[parents[:, 0].argsort(descending=True)]
        lengths = parents[:, 0] + 1
        rows = gan.levels["items"].sample(parents, lengths, lengths * 0, lengths, generator)[:, 0]
    assert len(rows) == int(lengths.sum())
    position = torch.cat([torch.arange(n) for n in lengths.tolist()])
    first, later = torch.nonzero(position == 0)[:, 0], torch.nonzero(position > 0)[:, 0]
    shares = {
        "level": parents[:, 1].double().mean(),
        "columns": (parents[:, 1] == parents[:, 2]).double().mean(),
        "degree": lengths[parents[:, 1] == 1].double().mean() - lengths[parents[:, 1] == 0].double().mean(),
        "parent": (rows[first] == parents[:, 1]).double().mean(),
        "sibling": (rows[later] == rows[later - 1]).double().mean(),
    }
    expected = {"level": 0.4, "columns": 0.85, "degree": 1.0, "parent": 0.8, "sibling": 0.8}
    assert {k: float(v) for k, v in shares.items()} == pytest.approx(expected, abs=0.06)


@pytest.mark.parametrize("network", NETWORKS)
def test_codes_that_died_out_come_back(network: str) -> None:
    gan, batches = tree(network), family_toy(600, torch.Generator().manual_seed(4))
    for table, level in gan.levels.items():
        level.spec = replace(
            level.spec, frequencies=[[float(n) for n in c] for c in code_counts(level.spec, [batches[table]])]
        )
        level.columns.spec = level.spec
        for head in level.generator.heads:
            if isinstance(head, NominalHead):
                with torch.no_grad():
                    head.usual[1] -= 8
        dead = code_counts(level.spec, [level.twin(batches[table])])
        revive_codes(level, batches[table])
        real, made = (code_counts(level.spec, [b]) for b in (batches[table], level.twin(batches[table])))
        for i, j in enumerate(level.columns.drawn):
            if isinstance(level.generator.heads[i], NominalHead):
                shares = [float(c[j][1] / c[j].sum()) for c in (dead, real, made)]
                assert shares[0] < 0.05 and 0.4 < shares[2] / shares[1] < 1.2, (table, j)
