from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from spark_synth.encoding.plan import TablePlan
from spark_synth.encoding.text import TextMaker, TextPlan
from spark_synth.generation.persons import fit_addresses


class Taken:
    """Knows one address."""

    def __init__(self, *values: str) -> None:
        self.values = set(values)

    def contains(self, values: np.ndarray) -> np.ndarray:
        return np.array([v in self.values for v in values], dtype=bool)


def _made(unique: bool, *real: str) -> list[str | None]:
    texts = [TextPlan("first", "first_name"), TextPlan("last", "last_name"), TextPlan("mail", "email", unique=unique)]
    plan = TablePlan.__new__(TablePlan)
    plan.texts, plan.values = texts, []
    makers = [TextMaker(t, 1, None) for t in texts]
    makers[2].real = Taken(*real)  # type: ignore[assignment]
    out = pd.DataFrame(
        {
            "w0": ["Zoë", "Anna Lena", "Bo", None],
            "w1": ["O'Neil", "Berg", "Berg", None],
            "w2": ["a@x.org", "b@y.org", None, "c@z.org"],
        }
    )
    fit_addresses(out, plan, makers, np.arange(4) + 36, np.random.default_rng(0))
    return out["w2"].tolist()


@pytest.mark.parametrize(
    ("unique", "expected"),
    [
        (False, ["zoe.o.neil@x.org", "anna.lena.berg@y.org", None, "c@z.org"]),
        (True, ["zoe.o.neil.10@x.org", "anna.lena.berg.11@y.org", None, "c@z.org"]),
    ],
)
def test_addresses_are_made_of_names(unique: bool, expected: list[str | None]) -> None:
    assert _made(unique) == expected


def test_no_address_is_a_real_one() -> None:
    made = _made(False, "zoe.o.neil@x.org")
    assert made[0] is not None and made[0].startswith("zoe.o.neil") and made[0] != "zoe.o.neil@x.org"
    assert made[1] == "anna.lena.berg@y.org"
