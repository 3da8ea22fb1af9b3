"""How often the rows of a family may have each code of a link, or of a key of a reference table, that leads no family
to the same row twice."""

from __future__ import annotations

from collections.abc import Sequence

from spark_synth.encoding.codecs import CategoricalCodec
from spark_synth.encoding.edge_plan import LinkPlan
from spark_synth.encoding.plan import How, TablePlan

ANY = 1 << 30  # rows without a target: as many as there are


def link_room(link: LinkPlan, targets: Sequence[int], lost: int) -> list[int]:
    """For each code of a link. targets: rows of each cluster that are linked to; lost: keys of orphans, if kept."""
    return [ANY] * link.nullable + list(targets) + ([lost] if link.orphans else [])


def reference_room(plan: TablePlan) -> dict[int, list[int]]:
    """By sub-column, for the keys of reference tables: each of their codes is one row."""
    room = {}
    for value in plan.values:
        codec = value.codecs[0]
        if value.how is How.REFERENCE and isinstance(codec, CategoricalCodec) and plan.once_in_family(value.keys):
            room[value.at] = [ANY] * codec.nullable + [1] * (codec.card - codec.nullable)
    return room


def real_room(plan: TablePlan) -> dict[int, list[int]]:
    """By sub-column, in the real database."""
    links = [k for k in plan.matched if k.targets]
    return {k.at: link_room(k, k.targets, k.orphans.keys if k.orphans else 0) for k in links} | reference_room(plan)
