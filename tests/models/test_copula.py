"""The copula: what it recovers from data whose distribution is known, and that it keeps to what is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from spark_synth.encoding.codecs import ordered_features
from spark_synth.models.batch import ABSENT, FamilyBatch
from spark_synth.models.copula import Copula
from spark_synth.models.scores import code_scores, normal_scores
from spark_synth.models.spec import GeneratorSpec
from spark_synth.training.copulas import scores_of
from spark_synth.training.moments import Moments, fit_copula

CODES = 50
CORRELATIONS = np.array([[1, 0.7, -0.4], [0.7, 1, 0.2], [-0.4, 0.2, 1]])
NO_CODES: list[list[float]] = [[]]


def ordered(codes: int) -> list[list[float]]:
    features: list[list[float]] = ordered_features(np.linspace(0, 1, codes)).tolist()
    return features


def counts(codes: Tensor, cards: list[int]) -> list[list[float]]:
    return [torch.bincount(c[c >= 0], minlength=k).float().tolist() for c, k in zip(codes.T, cards, strict=True)]


def fitted(spec: GeneratorSpec, batch: FamilyBatch) -> Copula:
    """A copula of all rows of a batch."""
    model = Copula(spec)
    model.set_scores(*scores_of(spec, [batch]))
    moments = Moments.none(model)
    moments.add(model, batch)
    fit_copula(model, moments, [batch], [batch])
    return model


def rows_of(codes: Tensor, context: Tensor | None = None, length: int = 1) -> FamilyBatch:
    families = len(codes) // length
    sizes = torch.full((families,), length)
    above = torch.zeros(families, 0, dtype=torch.int64) if context is None else context
    return FamilyBatch(codes, above, sizes, 0 * sizes, sizes)


def drawn(model: Copula, batch: FamilyBatch, seed: int = 0, fixed: Tensor | None = None) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return model.sample(batch.context, batch.lengths, batch.start, batch.size, generator, fixed=fixed)


def normals(codes: Tensor, bins: int = CODES) -> np.ndarray:
    return np.asarray(torch.special.ndtri((codes.double() + 0.5) / bins))


def cut(normal: np.ndarray, bins: int = CODES) -> Tensor:
    """Codes of standard normals, all as frequent."""
    level: Tensor = torch.special.ndtr(torch.from_numpy(normal))
    return (level * bins).long().clamp(max=bins - 1)


def test_normal_scores_are_means_inside_the_codes() -> None:
    shares = torch.tensor([0.5, 0.0, 0.25, 0.25], dtype=torch.float64)
    scores, ends = normal_scores(shares)
    # E[z | z < 0] = -sqrt(2 / pi); the middle quarter above 0 is between 0 and the upper quartile, 0.6745
    assert scores[0] == pytest.approx(-((2 / np.pi) ** 0.5)) and scores[1] == 0
    assert ends.tolist() == pytest.approx([-np.inf, 0, 0, 0.67449, np.inf], abs=1e-5)
    assert float(shares @ scores) == pytest.approx(0, abs=1e-12)


def test_scores_of_absent_codes_are_zero_and_columns_keep_apart() -> None:
    scores = code_scores([ordered(5), [[]] * 3], [[1.0] * 5, [2.0, 1.0, 0.0]], [torch.zeros(5, 0), torch.zeros(3, 0)])
    assert scores.of(torch.tensor([[ABSENT, ABSENT]])).abs().sum() == 0
    first, second = scores.span(0), scores.span(1)
    assert first[1] == second[0] and second[1] == scores.width
    assert scores.of(torch.tensor([[4, ABSENT]]))[0, second[0] :].abs().sum() == 0
    assert torch.equal(scores.of_column(1, torch.tensor([1])), scores.of(torch.tensor([[ABSENT, 1]]))[:, second[0] :])


def test_a_known_correlation_matrix_is_recovered() -> None:
    made = cut(np.random.default_rng(0).multivariate_normal(np.zeros(3), CORRELATIONS, 20_000))
    cards = [CODES] * 3
    spec = GeneratorSpec(cards=cards, features=[ordered(CODES)] * 3, frequencies=counts(made, cards), family="copula")
    found = np.corrcoef(normals(drawn(fitted(spec, rows_of(made)), rows_of(made))).T)
    assert np.abs(found - CORRELATIONS).max() < 0.03


def test_owners_siblings_and_categories_are_conditioned_on() -> None:
    """A child's value is 0.6 of its owner's, 0.6 of its sibling's before, and noise; categories have means."""
    random, families, length = np.random.default_rng(1), 4000, 4
    owner = random.standard_normal(families)
    value = np.zeros((families, length))
    value[:, 0] = random.standard_normal(families)
    for t in range(1, length):
        value[:, t] = 0.6 * owner + 0.6 * value[:, t - 1] + 0.5 * random.standard_normal(families)
    value /= value.std(0)
    means = np.array([-1.0, 0.0, 1.0])
    kind = (value[:, :, None] * means - means**2 / 2 + random.gumbel(size=(families, length, 3))).argmax(2)
    codes = torch.stack([cut(value), torch.from_numpy(kind)], 2).reshape(-1, 2)
    context = cut(owner)[:, None]
    spec = GeneratorSpec(
        cards=[CODES, 3],
        context_cards=[CODES],
        features=[ordered(CODES), [[]] * 3],
        context_features=[ordered(CODES)],
        frequencies=counts(codes, [CODES, 3]),
        recurrent=True,
        family="copula",
    )
    batch = rows_of(codes, context, length)
    made = drawn(fitted(spec, batch), batch)

    def told(c: Tensor) -> list[float]:
        x = normals(c[:, 0]).reshape(families, length)
        before, later = x[:, :-1].ravel(), x[:, 1:].ravel()
        above = np.repeat(normals(context[:, 0]), length - 1)
        k = c[:, 1].numpy().reshape(families, length)
        return [
            np.corrcoef(above, later)[0, 1],
            np.corrcoef(before, later)[0, 1],
            *(x[k == i].mean() for i in range(3)),
        ]

    assert np.abs(np.array(told(made)) - told(codes)).max() < 0.06
    assert np.abs(np.bincount(made[:, 1]) - np.bincount(codes[:, 1])).max() < 0.02 * len(codes)


def test_null_has_chances_of_its_own() -> None:
    """A number is NULL mostly where another one is large."""
    random = np.random.default_rng(2)
    x = random.standard_normal(20_000)
    codes = torch.stack([cut(x), cut(random.standard_normal(20_000)) + 1], 1)
    codes[random.random(20_000) < 1 / (1 + np.exp(2 - 2 * x)), 1] = 0
    features = [ordered(CODES), [[0.0] * 6, *ordered(CODES)]]
    cards = [CODES, CODES + 1]
    spec = GeneratorSpec(cards=cards, features=features, frequencies=counts(codes, cards), family="copula")
    made = drawn(fitted(spec, rows_of(codes)), rows_of(codes))
    for c in (codes, made):
        assert (c[:, 1] == 0).float().mean() == pytest.approx(float((codes[:, 1] == 0).float().mean()), abs=0.02)
    shares = np.array(
        [[float((c[c[:, 0] // 10 == k, 1] == 0).float().mean()) for k in range(5)] for c in (codes, made)]
    )
    assert np.abs(shares[0] - shares[1]).max() < 0.09


def test_codes_that_never_occur_are_never_drawn_and_fixed_ones_stay() -> None:
    codes = torch.stack([torch.arange(3000) % 3, torch.arange(3000) % 2], 1)
    spec = GeneratorSpec(cards=[4, 3], fixed=1, frequencies=counts(codes, [4, 3]), family="copula")
    model = fitted(spec, rows_of(codes))
    made = drawn(model, rows_of(codes), fixed=codes[:, :1])
    assert torch.equal(made[:, 0], codes[:, 0]) and set(made[:, 1].tolist()) == {0, 1}


def test_without_moments_it_is_the_frequencies() -> None:
    model = Copula(GeneratorSpec(cards=[3], frequencies=[[6.0, 3.0, 1.0]], family="copula"))
    made = drawn(model, rows_of(torch.zeros(1000, 1, dtype=torch.int64)))
    assert np.abs(np.bincount(made[:, 0]) - [600, 300, 100]).max() <= 1  # draws are even


def test_weights_go_through_a_state_dict() -> None:
    codes = torch.stack([torch.arange(3000) % 3, torch.arange(3000) % 3], 1)
    spec = GeneratorSpec(cards=[3, 3], frequencies=counts(codes, [3, 3]), family="copula")
    model, again = fitted(spec, rows_of(codes)), Copula(spec)
    again.load_state_dict(model.state_dict())
    assert torch.equal(drawn(model, rows_of(codes), 5), drawn(again, rows_of(codes), 5))
    assert not torch.equal(drawn(model, rows_of(codes), 5), drawn(model, rows_of(codes), 6))
    made = drawn(model, rows_of(codes))
    assert (made[:, 0] == made[:, 1]).float().mean() > 0.95  # one follows from the other


def test_what_is_absent_counts_for_nothing() -> None:
    codes = torch.stack([torch.arange(3000) % 3, torch.where(torch.arange(3000) % 2 > 0, 1, ABSENT)], 1)
    spec = GeneratorSpec(cards=[3, 2], frequencies=counts(codes, [3, 2]), family="copula")
    losses = fitted(spec, rows_of(codes)).column_losses(rows_of(codes))
    assert losses[0] == pytest.approx(3000 * np.log(3), rel=1e-3) and losses[1] == pytest.approx(0, abs=1)
