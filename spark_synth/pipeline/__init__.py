"""The stages of a run: discover, plan, train, generate, evaluate, and all of them; and what is done with runs after."""

from spark_synth.pipeline.compare import compare
from spark_synth.pipeline.promote import promote
from spark_synth.pipeline.stages import approve, discover, evaluate, export, generate, plan, run, train

__all__ = ["approve", "compare", "discover", "evaluate", "export", "generate", "plan", "promote", "run", "train"]
