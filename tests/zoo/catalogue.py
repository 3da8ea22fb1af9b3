"""All shapes of the zoo by name."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tests.zoo import orphans, shapes, shared
from tests.zoo.draws import Rng, Shape

SHAPES: dict[str, Callable[[Rng], Shape]] = {
    f.__name__: f
    for f in (
        shapes.single,
        shapes.text_keys,
        shapes.chain,
        shapes.two_children,
        shapes.extension,
        shapes.part_extension,
        shapes.two_keys_to_one_parent,
        shapes.three_keys_to_one_parent,
        shapes.null_owner,
        shapes.null_link,
        shapes.self_reference,
        shapes.two_self_references,
        shapes.self_reference_with_owner,
        shapes.composite_parent,
        shapes.order_lines,
        shapes.under_order_lines,
        shapes.overlapping_keys,
        shared.of_one_order,
        shared.tenants,
        shared.few_tenants,
        shared.tenants_kept,
        shapes.many_to_many,
        shapes.many_to_many_with_key,
        shapes.many_to_many_itself,
        shapes.bare_join,
        shapes.three_ways,
        shapes.two_ways,
        shapes.unique_column,
        shapes.cycle_of_two,
        shapes.cycle_of_three,
        shapes.apart,
        shapes.references,
        shapes.reference_chain,
        shapes.reference_in_key,
        shapes.hub,
        shapes.long_family,
        orphans.orphans_to_null,
        orphans.orphans_dropped,
        orphans.orphans_kept,
        orphans.orphans_kept_in_sets,
        orphans.orphans_kept_in_cycles,
        shapes.everything,
    )
}


def make(name: str) -> Shape:
    """The schema and tables of a shape."""
    return SHAPES[name](Rng(np.random.default_rng(7)))
