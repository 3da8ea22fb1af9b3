"""What the schema shapes of the zoo are made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from spark_synth.schema.model import Schema

Tables = dict[str, pd.DataFrame]
Shape = tuple[Schema, Tables]
MANY = 600  # rows of a parent table


@dataclass(frozen=True)
class Rng:
    """Draws of one shape; the same each time."""

    rng: np.random.Generator

    def values(self, n: int) -> pd.DataFrame:
        """Two numbers that go together, and a category."""
        a = self.rng.normal(50, 10, n).round(1)
        return pd.DataFrame(
            {"a": a, "b": (2 * a + self.rng.normal(0, 5, n)).round(1), "kind": self.rng.choice(list("xyz"), n)}
        )

    def parent(self, n: int, first: int = 1, key: str = "id") -> pd.DataFrame:
        """Integer keys and values."""
        return pd.concat([pd.DataFrame({key: np.arange(first, first + n)}), self.values(n)], axis=1)

    def owners(self, keys: pd.Series, mean: float) -> np.ndarray:
        """Each key a geometric number of times, some not at all."""
        return np.repeat(keys.to_numpy(), self.rng.geometric(1 / (mean + 1), len(keys)) - 1)

    def child(self, parent: pd.DataFrame, fk: str, mean: float, key: str = "id", of: str = "id") -> pd.DataFrame:
        """A child table with an integer key of its own."""
        owners = self.owners(parent[of], mean)
        made = self.parent(len(owners), 1000, key)
        made.insert(1, fk, owners)
        return made

    def pick(self, keys: pd.Series, n: int, null: float = 0.0) -> pd.Series:
        """Keys chosen unevenly, some NULL."""
        weights = self.rng.gamma(1.0, 1.0, len(keys))
        found = pd.Series(self.rng.choice(keys.to_numpy(), n, p=weights / weights.sum()))
        return found if not null else found.where(self.rng.random(n) >= null).astype("Int64")

    def pairs(self, left: pd.Series, right: pd.Series, n: int) -> pd.DataFrame:
        """Rows of a join table, of different pairs of keys, with values."""
        made = pd.DataFrame({"l": self.pick(left, n), "r": self.pick(right, n)}).drop_duplicates(ignore_index=True)
        return pd.concat([made, self.values(len(made))], axis=1)


VALUES = {"a": "numeric", "b": "numeric", "kind": "categorical"}


def keyed(schema: Schema, **keys: str | list[str]) -> Schema:
    """`schema` with tables of these names and primary keys, with the columns of `values`."""
    for name, key in keys.items():
        schema.add_table(name, key, VALUES)
    return schema
