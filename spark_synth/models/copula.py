"""The fast statistical family: a Gaussian copula, conditional on owner, links and previous sibling by regression.

Ordered codes are cut out of a standard normal by the real frequencies; given all that is known of a row its mean is
linear in scores (models.scores), so that drawing column after column is drawing from the conditional Gaussian
(Sklar, 1959; Joe, 2014; for mixed columns as an ordered probit). Codes without an order, and NULL, are told apart by
linear discriminants: given its code, what is known of a row is Gaussian with the same covariance (the location model:
Olkin and Tate, Annals of Mathematical Statistics, 1961). Everything follows from counts, means and products of scores,
which training.moments sums in Spark; there is no training loop. The first row of a family in a batch has no sibling
before it, so it has coefficients of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from spark_synth.models.base import Course, Outline
from spark_synth.models.batch import ABSENT, FamilyBatch, of_sibling
from spark_synth.models.network import GeneratorNetwork
from spark_synth.models.order import places_in_order
from spark_synth.models.outputs import IMPOSSIBLE, drawn_columns
from spark_synth.models.scores import Scores, normal_scores
from spark_synth.models.spec import GeneratorSpec

PLACES = 3  # numbers that tell the place of a row in its family
LEAST = 1e-12  # chance of a code in order


class Copula(GeneratorNetwork):
    """Regressors of a row: 1, its place, context, own sub-columns and, behind its first, those of the sibling before.

    own, above: scores of the row's codes and of its context. weights: float32 (V, D, R): of first rows and, where V is
    2, of others, for each drawn sub-column the mean of its normal (codes in order), the logit of a code beside that
    order against the rest, or the discriminant of each code. scale: (V, C), spread of the normal. shift: (codes,),
    logits that bring the frequencies to the real ones.
    """

    weights: Tensor
    scale: Tensor
    shift: Tensor

    def __init__(self, spec: GeneratorSpec) -> None:
        super().__init__(spec)
        features, _ = spec.code_features()
        frequencies = [torch.tensor(f, dtype=torch.float64) for f in spec.frequencies]
        self.columns = {j: Response(features[j], frequencies[j]) for j in drawn_columns(spec)}
        first = 0
        for response in self.columns.values():
            response.units = (first, first + response.width)
            first += response.width
        self.width = first
        self.variants = 2 if spec.recurrent else 1
        self.set_scores(Scores(spec.cards), Scores(spec.context_cards))

    def set_scores(self, own: Scores, above: Scores) -> None:
        """Take these scores; all coefficients are zero then."""
        self.own, self.above = own, above
        self.first_own = 1 + PLACES + above.width
        self.regressors = self.first_own + own.width * self.variants
        self.register_buffer("weights", torch.zeros(self.variants, self.regressors, self.width))
        self.register_buffer("scale", torch.ones(self.variants, len(self.spec.cards)))
        self.register_buffer("shift", torch.zeros(sum(self.spec.cards)))

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:  # noqa: ANN401
        """As nn.Module's; how many scores there are follows from what is loaded."""
        own, above = (
            Scores(cards, state_dict[f"{name}.table"].shape[1])
            for name, cards in (("own", self.spec.cards), ("above", self.spec.context_cards))
        )
        self.set_scores(own, above)
        return super().load_state_dict(state_dict, strict, assign)

    # -- likelihood -------------------------------------------------------------------------------------------

    def column_losses(self, batch: FamilyBatch) -> Tensor:
        """(C,): negative log likelihood of the drawn sub-columns, in nats summed over rows."""
        losses = self.shift.new_zeros(len(self.spec.cards))
        known, variant = self.known(batch)
        for j in self.columns:
            logits = self.logits(j, known, variant)
            losses[j] = F.cross_entropy(logits, batch.codes[:, j], ignore_index=ABSENT, reduction="sum")
        return losses

    def known(self, batch: FamilyBatch) -> tuple[Tensor, Tensor]:
        """float32 (N, D): the regressors of all rows of a batch, whole rows; and which coefficients they take (N,)."""
        family, position = batch.family(), batch.position()
        place = place_numbers(batch.start[family] + position, batch.size[family])
        own = self.own.of(self._seen(batch.codes))
        parts = [place, self.above.of(batch.context).index_select(0, family), own]
        if self.variants == 2:
            parts.append(of_sibling(own, position, 0))
        return torch.cat(parts, 1), (position > 0).long() * (self.variants - 1)

    def logits(self, column: int, known: Tensor, variant: Tensor) -> Tensor:
        """float32 (N, K) of a drawn sub-column, given regressors (N, D) that stop before it, or go on: what comes
        after it has no weight."""
        response = self.columns[column]
        first, end = response.units
        units = known.new_zeros(len(known), end - first)
        for v in range(self.variants):
            here = variant == v
            if here.any():
                units = torch.where(here[:, None], known @ self.weights[v][:, first:end], units)
        at = int(self.own.offsets[column])
        shift = self.shift[at : at + response.codes]
        return response.logits(units, self.scale[:, column][variant]) + shift

    # -- sampling ---------------------------------------------------------------------------------------------

    def course(self, outline: Outline, generator: torch.Generator) -> Course:
        """See GeneratorNetwork."""
        return RegressionCourse(self, outline)

    def _seen(self, codes: Tensor) -> Tensor:
        """Codes (N, C), ABSENT where they are not looked at."""
        if not self.spec.unseen:
            return codes
        seen = codes.clone()
        seen[:, self.spec.unseen] = ABSENT
        return seen


class Response:
    """How one drawn sub-column's codes follow from units: one mean for the codes in order and one logit for those
    beside it, or one discriminant a code."""

    def __init__(self, features: list[list[float]], counts: Tensor) -> None:
        self.codes, self.occurs = len(counts), counts > 0
        self.shares = counts / counts.sum().clamp(min=1)
        self.units, self.share_beside = (0, 0), 0.0
        self.explained = [0.0, 0.0]  # variance of the normal that its regression explains, by variant
        places = places_in_order(features)
        self.ordered = places is not None
        if places is None:
            self.width, self.discriminates = self.codes, True
            return
        beside = places.isnan()
        self.order = torch.argsort(places)[: int((~beside).sum())]
        inside = self.shares[self.order]
        self.beside = torch.nonzero(beside & self.occurs)[:, 0]
        self.share_beside = float(self.shares[self.beside].sum())
        inside = inside / inside.sum().clamp(min=1e-300)
        scores, self.ends = normal_scores(inside)
        self.score_variance = float(inside @ scores.square())
        self.discriminates = 0 < self.share_beside < 1
        self.width = 1 + self.discriminates

    def logits(self, units: Tensor, scale: Tensor) -> Tensor:
        """float32 (N, K) of units (N, width), with the spread (N,) of the normal."""
        made = units.new_full((len(units), self.codes), IMPOSSIBLE)
        if not self.ordered:
            shares = torch.log(self.shares.clamp(min=1e-30)).to(units)
            return torch.where(self.occurs.to(units.device), units + shares, made)
        ends = (self.ends.to(units.device)[None, :] - units[:, :1].double()) / scale[:, None].double()
        above = ends[:, :-1] > 0  # there both chances are near 1, and what they differ by would be lost
        low = torch.special.ndtr(torch.where(above, -ends[:, 1:], ends[:, :-1]))
        chance = torch.special.ndtr(torch.where(above, -ends[:, :-1], ends[:, 1:])) - low
        occurs = self.occurs[self.order].to(units.device)
        inside = torch.where(occurs, torch.log(chance.clamp(min=LEAST)).float(), IMPOSSIBLE)
        if self.discriminates:
            odds = units[:, 1:] + float(torch.logit(torch.tensor(self.share_beside)))
            inside = inside + torch.where(occurs, F.logsigmoid(-odds), 0.0)
            parts = torch.log(self.shares[self.beside] / self.share_beside).to(units)
            made[:, self.beside] = F.logsigmoid(odds) + parts
        elif self.share_beside:
            made[:, self.beside] = torch.log(self.shares[self.beside]).to(units)
        made[:, self.order] = inside
        return made


class RegressionCourse:
    """A models.base.Course: the regressors of the rows under way."""

    def __init__(self, model: Copula, outline: Outline) -> None:
        self.model = model
        self.context = model.above.of(outline.context)
        self.before: Tensor | None = None

    def begin(self, codes: Tensor, rows: Tensor, position: Tensor, size: Tensor) -> None:
        """See Course."""
        model, active = self.model, len(rows)
        own = model.own.of(model._seen(codes))
        parts = [place_numbers(position, size), self.context[:active], own]
        if model.variants == 2:
            parts.append(torch.zeros_like(own) if self.before is None else self.before[:active])
        self.known = torch.cat(parts, 1)
        later = int(self.before is not None and model.variants == 2)
        self.variant = torch.full((active,), later, dtype=torch.int64, device=codes.device)

    def logits(self, column: int, codes: Tensor) -> Tensor:
        """See Course."""
        return self.model.logits(column, self.known, self.variant)

    def take(self, column: int, codes: Tensor) -> None:
        """See Course."""
        first, end = self.model.own.span(column)
        at = self.model.first_own
        self.known[:, at + first : at + end] = self.model.own.of_column(column, codes[:, column])

    def choose(self, chosen: Tensor) -> None:
        """See Course."""
        self.known = self.known[chosen]

    def end(self, codes: Tensor) -> None:
        """See Course."""
        first = self.model.first_own
        self.before = self.known[:, first : first + self.model.own.width]


def place_numbers(position: Tensor, size: Tensor) -> Tensor:
    """float32 (N, 1 + PLACES): 1, and what the place of a row in its family says."""
    at, of = position.float(), size.float()
    return torch.stack([torch.ones_like(at), torch.log1p(at), torch.log1p(of), at / of.clamp(min=1)], 1)
