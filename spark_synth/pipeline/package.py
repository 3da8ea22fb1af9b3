"""The trained database as files: plans, weights, filters, kept rows. What MLflow stores and generation loads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spark_synth.encoding.plan import TablePlan
from spark_synth.errors import RunError
from spark_synth.schema import Schema
from spark_synth.whole import write_json

DATABASE = "database.json"


@dataclass(frozen=True)
class Package:
    """The folder of a trained database.

    owners: owner foreign key name by table. segment_rows: rows after which a family was cut in training. seed: the one
    of the training, by which its hold-out was chosen.
    """

    folder: Path
    schema: Schema
    plans: dict[str, TablePlan]
    owners: dict[str, str | None]
    segment_rows: int
    seed: int

    @property
    def references(self) -> set[str]:
        """Tables whose real rows are kept."""
        return {t for t, plan in self.plans.items() if plan.reference}


def save_package(package: Package, blooms: Mapping[str, Mapping[str, np.ndarray]]) -> None:
    """Write plans and filters; the weights are written by training, the kept rows by Spark."""
    for t, plan in package.plans.items():
        at = package.folder / t
        at.mkdir(parents=True, exist_ok=True)
        write_json(at / "plan.json", plan.to_json())
        write_json(at / "filters.json", list(blooms[t]))
        for i, words in enumerate(blooms[t].values()):
            np.save(at / f"filter_{i}.npy", words, allow_pickle=False)
    about = {
        "schema": package.schema.model_dump(mode="json"),
        "tables": list(package.plans),
        "owners": package.owners,
        "segment_rows": package.segment_rows,
        "seed": package.seed,
    }
    write_json(package.folder / DATABASE, about)


def load_package(folder: Path) -> Package:
    """Read what `save_package` wrote."""
    try:
        about = json.loads((folder / DATABASE).read_text())
        plans = {t: TablePlan.from_json(json.loads((folder / t / "plan.json").read_text())) for t in about["tables"]}
        schema, names = Schema.model_validate(about["schema"]), ("owners", "segment_rows", "seed")
        return Package(folder, schema, plans, **{k: about[k] for k in names})
    except (OSError, ValueError, KeyError, TypeError) as error:  # TypeError: written by another version
        raise RunError(f"the trained model in {folder} cannot be read ({error}); train again") from error
