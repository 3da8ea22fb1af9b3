"""The stages of a run: discover, plan, train, generate, evaluate, all of them, export; what is done with runs then."""

from spark_synth.pipeline.compare import compare
from spark_synth.pipeline.export import export
from spark_synth.pipeline.promote import promote
from spark_synth.pipeline.stages import approve, discover, evaluate, generate, plan, run, train

__all__ = [
    "approve",
    "compare",
    "discover",
    "evaluate",
    "export",
    "generate",
    "plan",
    "promote",
    "run",
    "train",
]
