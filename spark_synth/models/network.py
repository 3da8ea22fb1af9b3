"""What every generator family is: a network with a spec, a loss, and a course for families that are drawn."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from spark_synth.models.base import Clock, Course, Masks, Observed, Outline, Tilt
from spark_synth.models.batch import FamilyBatch
from spark_synth.models.sampling import draw_families
from spark_synth.models.spec import GeneratorSpec


class GeneratorNetwork(nn.Module, ABC):
    """A conditional generator of families of rows. All tensors on one device."""

    def __init__(self, spec: GeneratorSpec) -> None:
        super().__init__()
        self.spec = spec

    @abstractmethod
    def column_losses(self, batch: FamilyBatch) -> Tensor:
        """(C,): negative log likelihood of the drawn sub-columns, or what stands for it, in nats summed over rows; zero
        for the others."""

    def loss(self, batch: FamilyBatch) -> Tensor:
        """Scalar: the mean over rows of what `column_losses` adds up to."""
        return self.column_losses(batch).sum() / batch.rows

    def held_out(self, batch: FamilyBatch) -> Tensor:
        """Scalar: what training is judged by on families it has not seen, in nats summed over rows (in eval mode)."""
        return self.column_losses(batch).sum()

    @abstractmethod
    def course(self, outline: Outline, generator: torch.Generator) -> Course:
        """The families of an outline on their way; what is random about it comes from the generator."""

    @torch.no_grad()
    def sample(
        self,
        context: Tensor,
        lengths: Tensor,
        start: Tensor,
        size: Tensor,
        generator: torch.Generator,
        clock: Clock | None = None,
        masks: Masks | None = None,
        fixed: Tensor | None = None,
        tilt: Mapping[int, Tilt] | None = None,
        sets: Tensor | None = None,
        observed: Observed | None = None,
    ) -> Tensor:
        """Codes int64 (N, C) of new rows, families in the order given, longest first; see Outline.

        tilt: by sub-column, what is added to its logits; observed: what else is known.
        """
        self.eval()
        outline = Outline(context, lengths, start, size, fixed, sets)
        course = self.course(outline, generator)
        return draw_families(self.spec, course, outline, generator, clock, masks, tilt, observed)
