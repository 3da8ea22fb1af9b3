"""The default family on tensors alone: likelihood, gradients, starting point, and what it learns."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spark_synth.generation.masks import Room
from spark_synth.models import sampling
from spark_synth.models.autoregressive import Autoregressive
from spark_synth.models.batch import ABSENT, FamilyBatch
from spark_synth.models.remaining import GONE, remaining
from spark_synth.models.spec import GeneratorSpec

CARDS = [3, 5, 2, 9]
GIVEN = 1  # computed from the first sub-column by TwiceClock
FREQUENCIES = [[5.0, 3.0, 2.0], [1.0] * 5, [9.0, 1.0], [1.0] * 9]


class TwiceClock:
    """The given sub-column is twice the first one."""

    def advance(self, active: int, step: int, codes: np.ndarray) -> np.ndarray:
        return 2 * codes[:, :1]


ROOM = {3: [4, 5, 5, 3, 9, 4, 1 << 30, 2, 6]}


@pytest.fixture
def model() -> Autoregressive:
    return network()


def network(room: dict[int, list[int]] | None = None) -> Autoregressive:
    """A small conditional and recurrent network with weights away from their start."""
    torch.manual_seed(1)
    spec = GeneratorSpec(
        cards=CARDS,
        given=[GIVEN],
        context_cards=[4, 6],
        summaries={3: [1], 2: [0, 1]},
        room=room or {},
        recurrent=True,
        frequencies=FREQUENCIES,
        hidden=16,
        head=8,
    )
    made = Autoregressive(spec)
    for weight in made.outer.parameters():
        nn.init.normal_(weight, std=0.5)
    return made.eval()


@pytest.fixture
def batch() -> FamilyBatch:
    """Families and segments of 5, 3 and 1 rows; one has no owner, some codes are absent."""
    torch.manual_seed(2)
    codes = torch.stack([torch.randint(0, card, (9,)) for card in CARDS], 1)
    codes[:, GIVEN] = 2 * codes[:, 0]
    codes[2, 3] = codes[6, 2] = ABSENT
    context = torch.tensor([[1, 5], [ABSENT, ABSENT], [3, 0]])
    return FamilyBatch(codes, context, torch.tensor([5, 3, 1]), torch.tensor([0, 40, 0]), torch.tensor([5, 900, 1]))


def owned(batch: FamilyBatch) -> np.ndarray:
    """bool (B,): families with an owner."""
    return (batch.context != ABSENT).any(1).numpy()


def sample(model: Autoregressive, batch: FamilyBatch, seed: int) -> Tensor:
    """New rows in the place of those of `batch`."""
    generator = torch.Generator().manual_seed(seed)
    room = Room(model.spec.room, owned(batch)) if model.spec.room else None
    return model.sample(batch.context, batch.lengths, batch.start, batch.size, generator, TwiceClock(), room)


@pytest.mark.parametrize("room", [{}, ROOM])
def test_likelihood_equals_the_steps_of_the_sampler(
    room: dict[int, list[int]], batch: FamilyBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = network(room)
    family, position = batch.family(), batch.position()
    drawn = [j for j in range(len(CARDS)) if j != GIVEN]
    places = [(position == step, j) for step in range(int(batch.lengths.max())) for j in drawn]
    waiting: Iterator[tuple[Tensor, int]] = iter(places)
    found = torch.zeros(len(CARDS))

    def forced(logits: Tensor, uniform: Tensor) -> Tensor:
        rows, j = next(waiting)
        target = batch.codes[rows, j]
        assert target.shape == (len(logits),) and logits.shape[1] == CARDS[j]
        found[j] += F.cross_entropy(logits, target, ignore_index=ABSENT, reduction="sum")
        return target

    monkeypatch.setattr(sampling, "inverse_cdf", forced)
    assert torch.equal(sample(model, batch, 0), batch.codes)
    assert next(waiting, None) is None and int(family[-1]) == 2
    torch.testing.assert_close(model.column_losses(batch), found, rtol=1e-5, atol=1e-5)


def test_what_a_family_has_used_up_is_drawn_no_more(batch: FamilyBatch) -> None:
    """500 families of eight rows, for which the codes have room for two, two and four."""
    room, count = {0: [2, 2, 4]}, 500
    model, lengths, start = network(room), torch.full((count,), 8), torch.zeros(count, dtype=torch.long)
    context, generator = batch.context[:1].repeat(count, 1), torch.Generator().manual_seed(0)
    codes = model.sample(context, lengths, start, lengths, generator, TwiceClock(), Room(room, np.ones(count, bool)))
    families = codes[:, 0].view(count, 8)
    assert all((families == c).sum(1).eq(n).all() for c, n in enumerate(room[0]))
    left = remaining(FamilyBatch(codes, context, lengths, start, lengths), 0, room[0]).view(count, 8, 3)
    assert not left[:, 0].any()  # the first row has all before it, the last what is then drawn
    assert torch.equal(left[:, -1].argmax(1), families[:, -1])
    assert sorted(set(left[:, -1].exp().flatten().tolist())) == pytest.approx([GONE, 1 / 4, 1 / 2])


def test_loss_is_the_mean_over_rows(model: Autoregressive, batch: FamilyBatch) -> None:
    losses = model.column_losses(batch)
    assert losses[GIVEN] == 0
    torch.testing.assert_close(model.loss(batch), losses.sum() / batch.rows)


def test_absent_codes_have_no_loss_and_teach_nothing(model: Autoregressive, batch: FamilyBatch) -> None:
    batch.codes[:, 3] = ABSENT
    losses = model.column_losses(batch)
    assert losses[3] == 0
    losses.sum().backward()  # type: ignore[no-untyped-call]
    seen = model.value.own.grad
    assert model.inner.grad is not None and seen is not None
    assert model.inner.grad[2].any() and not model.inner.grad[3].any()
    assert seen[: sum(CARDS[:3])].any() and not seen[sum(CARDS[:3]) :].any()
    assert not model.value()[-1].any()  # what stands for an absent code adds nothing


def test_a_family_does_not_depend_on_its_batch_mates(model: Autoregressive, batch: FamilyBatch) -> None:
    whole = model.column_losses(batch)
    ends = torch.cumsum(batch.lengths, 0).tolist()
    parts = torch.zeros(len(CARDS))
    for i, end in enumerate(ends):
        one = slice(i, i + 1)
        rows = batch.codes[end - int(batch.lengths[i]) : end]
        parts += model.column_losses(
            FamilyBatch(rows, batch.context[one], batch.lengths[one], batch.start[one], batch.size[one])
        )
    torch.testing.assert_close(parts, whole, rtol=1e-5, atol=1e-5)


def test_rows_look_back_and_columns_look_left(model: Autoregressive, batch: FamilyBatch) -> None:
    before = model.column_losses(batch).detach()
    last = batch.codes.clone()
    last[4, 3] = (last[4, 3] + 1) % CARDS[3]  # the last column of a last row is seen by nobody else
    after = model.column_losses(FamilyBatch(last, batch.context, batch.lengths, batch.start, batch.size)).detach()
    torch.testing.assert_close(after[:3], before[:3])
    assert after[3] != before[3]


def test_sampling_follows_the_generator(model: Autoregressive, batch: FamilyBatch) -> None:
    first, again, other = sample(model, batch, 7), sample(model, batch, 7), sample(model, batch, 8)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(first[:, GIVEN], 2 * first[:, 0])
    assert all(int(first[:, j].min()) >= 0 and int(first[:, j].max()) < card for j, card in enumerate(CARDS))


def test_sampling_nothing_gives_no_rows(model: Autoregressive) -> None:
    none = torch.zeros(0, dtype=torch.int64)
    drawn = model.sample(torch.zeros(0, 2, dtype=torch.int64), none, none, none, torch.Generator())
    assert drawn.shape == (0, len(CARDS))


def test_masks_narrow_what_is_drawn(model: Autoregressive, batch: FamilyBatch) -> None:
    class OnlyLast:
        def allowed(self, column: int, active: int, step: int, codes: np.ndarray) -> np.ndarray | None:
            if column == 0:
                return np.zeros((active, CARDS[0]), dtype=bool)
            return np.repeat((np.arange(CARDS[3]) == 8)[None], active, 0) if column == 3 else None

        def drawn(self, codes: np.ndarray) -> None:
            assert codes.shape[1] == len(CARDS)

    drawn = model.sample(
        batch.context, batch.lengths, batch.start, batch.size, torch.Generator(), TwiceClock(), OnlyLast()
    )
    assert (drawn[:, 0] == ABSENT).all()
    assert (drawn[:, 3] == 8).all()


def test_an_untrained_network_draws_the_frequencies() -> None:
    counts = [[700.0, 250.0, 50.0, 0.0], [1.0, 1.0]]
    torch.manual_seed(0)
    model = Autoregressive(GeneratorSpec(cards=[4, 2], frequencies=counts, hidden=8, head=4))
    n = 2000
    one = torch.ones(n, dtype=torch.int64)
    generator = torch.Generator().manual_seed(5)
    codes = model.sample(torch.zeros(n, 0, dtype=torch.int64), one, one - 1, one, generator)
    for j, count in enumerate(counts):
        drawn = torch.bincount(codes[:, j], minlength=len(count)) / n
        expected = torch.tensor(count) / sum(count)
        assert float((drawn - expected).abs().max()) <= 2 / n  # stratified draws have no binomial noise
        assert not drawn[expected == 0].any()


def toy(families: int, generator: torch.Generator) -> FamilyBatch:
    """Families of 5 rows, two sub-columns, a context of one code with

    p(first = context) = 0.9 in the first row; p(first = that of the previous sibling) = 0.9 after it;
    p(second = first) = 0.8. Codes are 0 and 1, contexts too.
    """

    def flip(x: Tensor, share: float) -> Tensor:
        return torch.where(torch.rand(x.shape, generator=generator) < share, 1 - x, x)

    context = torch.randint(0, 2, (families, 1), generator=generator)
    now, rows = context[:, 0], []
    for _ in range(5):
        now = flip(now, 0.1)
        rows.append(torch.stack([now, flip(now, 0.2)], 1))
    five = torch.full((families,), 5)
    return FamilyBatch(torch.stack(rows, 1).flatten(0, 1), context, five, torch.zeros_like(five), five)


def test_a_known_conditional_distribution_is_learnt() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(1)
    model = Autoregressive(
        GeneratorSpec(cards=[2, 2], context_cards=[2], recurrent=True, frequencies=[[1.0, 1.0]] * 2, hidden=24, head=12)
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    slower = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.02, 300)
    for _ in range(300):
        loss = model.loss(toy(128, generator))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        slower.step()
    seen = toy(3000, generator)
    drawn = model.sample(seen.context, seen.lengths, seen.start, seen.size, generator).reshape(-1, 5, 2)
    first, second = drawn[..., 0], drawn[..., 1]
    shares = {
        "context": (first[:, 0] == seen.context[:, 0]).double().mean(),
        "sibling": (first[:, 1:] == first[:, :-1]).double().mean(),
        "column": (first == second).double().mean(),
        "level": first.double().mean(),
    }
    expected = {"context": 0.9, "sibling": 0.9, "column": 0.8, "level": 0.5}
    assert {k: float(v) for k, v in shares.items()} == pytest.approx(expected, abs=0.03)
