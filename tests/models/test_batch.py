from __future__ import annotations

import torch

from spark_synth.models.batch import FamilyBatch, concat
from spark_synth.models.position import BUCKETS, bucket
from spark_synth.models.spec import GeneratorSpec


def _batch(lengths: list[int], first: int = 0) -> FamilyBatch:
    n = torch.tensor(lengths)
    codes = first + torch.arange(int(n.sum()) * 2).reshape(-1, 2)
    return FamilyBatch(codes, torch.zeros(len(lengths), 0, dtype=torch.int64), n, torch.zeros_like(n), n)


def test_family_and_position_of_rows() -> None:
    batch = _batch([2, 1, 3])
    assert batch.rows == 6
    assert batch.family().tolist() == [0, 0, 1, 2, 2, 2]
    assert batch.position().tolist() == [0, 1, 0, 0, 1, 2]


def test_concat_keeps_families_in_order() -> None:
    joined = concat([_batch([2, 1]), _batch([3], first=100)])
    assert joined.lengths.tolist() == [2, 1, 3]
    assert joined.codes[:, 0].tolist() == [0, 2, 4, 100, 102, 104]


def test_buckets_are_exact_first_then_coarser_and_never_run_out() -> None:
    numbers = torch.tensor([0, 1, 31, 32, 37, 38, 64, 10**12])
    found = bucket(numbers).tolist()
    assert found[:4] == [0, 1, 31, 32]
    assert found == sorted(found)
    assert found[-1] == BUCKETS - 1


def test_spec_survives_json() -> None:
    spec = GeneratorSpec(cards=[2, 3], given=[1], context_cards=[4], summaries={0: [0]}, recurrent=True)
    assert GeneratorSpec.from_json(spec.to_json()) == spec
