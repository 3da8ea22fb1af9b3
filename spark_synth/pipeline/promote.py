"""Which version of a registered model is the champion: one whose database met the gates."""

from __future__ import annotations

from spark_synth.config import RunConfig
from spark_synth.errors import GateError, RunError, UserError
from spark_synth.pipeline.failures import plainly
from spark_synth.pipeline.gates import INTEGRITY, failures
from spark_synth.pipeline.trained import open_tracker
from spark_synth.progress import Progress
from spark_synth.tracking import RunData, Tracker

CHAMPION, CHALLENGER = "champion", "challenger"


@plainly
def promote(config: RunConfig, run_id: str | None = None, alias: str = CHAMPION) -> str:
    """Give the model that an evaluated database was made with that alias; the address of the version.

    The database is that of `generate.identifier`, or the last one evaluated of the train run `run_id`, or the last one
    of all. GateError where its figures do not meet the gates of the configuration.
    """
    if alias not in (CHAMPION, CHALLENGER):
        raise UserError(f"--alias {alias!r}: {CHAMPION} or {CHALLENGER}")
    if not config.gates:
        raise UserError("option 'gates' is missing: name figures and what they must be, such as summary/score: min: 70")
    progress = Progress()
    tracker = open_tracker(config, progress)
    evaluated = _evaluated(config, tracker, run_id)
    shown = f"{evaluated.tags['identifier']} (evaluate run {evaluated.run_id})"
    if evaluated.metrics.get(INTEGRITY) == 0:
        raise RunError(f"not promoted: the keys of {shown} are unsound")
    if lines := failures(config.gates, evaluated.metrics):
        raise GateError([f"not promoted: {line}, in {shown}" for line in lines])
    trained, name = evaluated.tags["train_run_id"], str(config.tracking.model)
    version = tracker.version_of_run(name, trained)
    if version is None:
        raise UserError(
            f"no version of registered model {name!r} was trained by run {trained}: run `spark-synth train`"
        )
    had = tracker.set_alias(version, alias)
    was = "was that already" if had == version.number else f"in place of version {had}" if had else "the first one"
    progress.note(f"models:/{name}@{alias} is version {version.number} ({was}); {shown} met {len(config.gates)} gates")
    return version.exact_uri


def _evaluated(config: RunConfig, tracker: Tracker, run_id: str | None) -> RunData:
    """The last evaluation of the database, or of the training, that is asked for."""
    identifier = config.generate.identifier
    asked = {"stage": "evaluate"}
    asked |= {"identifier": identifier} if identifier else {}
    asked |= {"train_run_id": run_id} if run_id else {}
    found = tracker.last([tracker.experiment_id], asked)
    if found is None:
        of = f" of {identifier or f'train run {run_id}'}" if identifier or run_id else ""
        raise UserError(f"no finished evaluation{of} in experiment {config.tracking.experiment}: run `evaluate` first")
    return found
