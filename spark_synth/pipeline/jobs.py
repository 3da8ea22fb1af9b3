"""The networks of a trained database: what each is made of, and how long it trains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from spark_synth.config import ModelSettings, RunConfig
from spark_synth.encoding.join_plan import SetPlan
from spark_synth.encoding.plan import BELOW, DEGREE, STRUCTURE, SummaryPlan, TablePlan
from spark_synth.encoding.room import real_room
from spark_synth.encoding.training_set import TrainingSet
from spark_synth.models.spec import GanSpec, GeneratorSpec, SetSpec, VaeSpec
from spark_synth.pipeline.outlook import FIXED_COST, plan_training, structure_name
from spark_synth.pipeline.package import Package
from spark_synth.training.job import FitJob
from spark_synth.training.place import with_time_of_tree
from spark_synth.training.schedule import COUNTED, Places, head_width

TIED_ROWS = 300  # rows that a table needs for its values to be learnt from its code


@dataclass(frozen=True)
class Network:
    """Widths of a network, and the share of its units that a training step leaves out."""

    hidden: int
    head: int
    dropout: float


def fit_jobs(
    config: RunConfig, package: Package, sets: Mapping[str, TrainingSet], work: Path, where: Places
) -> list[FitJob]:
    """One job per generated table, and one more for the structure of a table with links; most expensive first."""
    plans = {t: p for t, p in package.plans.items() if t in sets}
    walked = {t for t, p in plans.items() if p.structure and not p.blocks}  # their structure is drawn by a network
    parts = {name: t for t in plans for name in ([t, structure_name(t)] if t in walked else [t])}
    sizes = {name: _size(name, plans[t], sets[t]) for name, t in parts.items()}
    costs, shares = plan_training(config, sizes, parts, where)
    jobs = []
    for cost in sorted(costs.values(), key=lambda c: -c.cells * shares[c.table].epochs):
        name, t = cost.table, parts[cost.table]
        model, one, share = config.model_for(t), sets[t], shares[name]
        network = Network(cost.hidden, head_width(cost.hidden, model.head), model.dropout)
        spec = generator_spec(plans[t], package.plans, one.frequencies, network, name != t)
        spec = _of_family(spec, plans[t], package.plans, model, name != t)
        jobs.append(
            FitJob(
                name,
                len(plans[t].cards),
                one.path,
                str(package.folder / t / STRUCTURE if name != t else package.folder / t),
                str(work / "fit" / name),
                spec.to_json(),
                one.train_rows,
                one.holdout_rows,
                share.epochs,
                share.batch_rows,
                share.seconds,
                share.threads,
                model.learning_rate,
                config.train.patience,
                config.seed,
                config.train.checkpoint_minutes * 60,
                "cpu",
                share.ranks,
                *_tree(config, plans[t], plans, name),
            )
        )
    return with_time_of_tree(jobs, config.train.max_minutes * 60)


def generator_spec(
    plan: TablePlan,
    plans: Mapping[str, TablePlan],
    frequencies: list[list[float]],
    network: Network,
    structure: bool,
) -> GeneratorSpec:
    """The network of a table: its sub-columns, its context, and which of these summarise which column.

    structure: only the sub-columns that are drawn before links are matched.
    """
    first, count = (0, plan.structure) if structure else (plan.fixed, len(plan.cards))
    return GeneratorSpec(
        cards=plan.cards[:count],
        fixed=first,
        unseen=[] if structure else _unseen(plan, plans),
        given=[] if structure else plan.given,
        context_cards=plan.context_cards,
        summaries={} if structure else _summaries(plan, plans),
        linked={} if structure else _linked(plan, plans),
        sets=[] if structure else [_set(s, plans) for s in plan.sets],
        room={at: most for at, most in real_room(plan).items() if first <= at < count},
        recurrent=plan.owner is not None,
        timed=plan.time is not None,
        features=plan.features(plans)[:count],
        context_features=_context_features(plan, plans),
        frequencies=frequencies[:count],
        hidden=network.hidden,
        head=network.head,
        dropout=network.dropout,
    )


def _of_family(
    spec: GeneratorSpec, plan: TablePlan, plans: Mapping[str, TablePlan], model: ModelSettings, structure: bool
) -> GeneratorSpec:
    """The spec with what the family of a table needs. Degrees and links, where they are drawn before values, have a
    network of their own: of the default family, unless the table is to be counted."""
    if structure and model.family not in COUNTED:
        return spec
    vae = None
    if model.family == "graph_vae":
        targets = [[k.carried_at, k.carried_at + len(k.carried)] for k in plan.matched if k.carried]
        layers, ancestors = model.message_layers, _ancestors(plan, plans)
        vae = VaeSpec(model.latent, model.beta, layers, layers, ancestors, targets)
    gan = GanSpec(network=model.child_network) if model.family == "gan" else None
    return replace(spec, family="autoregressive" if model.family == "clustered" else model.family, vae=vae, gan=gan)


def _tree(config: RunConfig, plan: TablePlan, plans: Mapping[str, TablePlan], name: str) -> tuple[str, int]:
    """`parent` and `degrees` of the job `name` (see FitJob): tables of GANs are trained with those that own their rows.
    Not so where orphans are kept, whose context is not that of an owner."""
    if config.model_for(plan.table).family != "gan" or name != plan.table:
        return "", 0
    owner = plan.owner
    joined = owner is not None and owner.parent in plans and not owner.orphans
    together = joined and config.model_for(owner.parent).family == "gan"  # type: ignore[union-attr]
    return owner.parent if together and owner else "", 0 if plan.fixed else len(plan.degrees)


def _ancestors(plan: TablePlan, plans: Mapping[str, TablePlan]) -> list[int]:
    """Sub-columns of each part of the context: the owner's, its ancestors', and what tells orphans."""
    if plan.owner is None:
        return []
    above = plans[plan.owner.parent]
    return [len(above.cards), *_ancestors(above, plans), *([1] if plan.owner.orphans else [])]


def _set(found: SetPlan, plans: Mapping[str, TablePlan]) -> SetSpec:
    other, features = plans[found.other], plans[found.other].features(plans)
    return SetSpec(found.slots, [other.cards[i] for i in found.carried], [features[i] for i in found.carried])


def _summaries(plan: TablePlan, plans: Mapping[str, TablePlan]) -> dict[int, list[int]]:
    """Sub-column -> places in the context of what the owner carries of the same column."""
    found: dict[int, list[int]] = {}
    for s in plans[plan.owner.parent].summaries if plan.owner else []:
        if (s.table, s.edge) == (plan.table, plan.owner.name):  # type: ignore[union-attr]
            at = _summarised(plan, s)
            if at is not None and at >= plan.fixed:
                found.setdefault(at, []).append(s.at)
    return found


def _summarised(plan: TablePlan, summary: SummaryPlan) -> int | None:
    """The sub-column of `plan` that its owner's summary tells of."""
    kind, _, number = summary.stat.partition(":")
    if f"{kind}:" == DEGREE:
        return plan.degrees[int(number)].at
    if f"{kind}:" == BELOW:
        return plan.summaries[int(number)].at
    return plan.column_at(summary.column)


def _linked(plan: TablePlan, plans: Mapping[str, TablePlan]) -> dict[int, list[int]]:
    """Sub-column -> fixed sub-columns of what the targets of links say of a column of that name, or carry of it."""
    found: dict[int, list[int]] = {}
    for link in plan.matched:
        target = plans[link.parent]
        same = [(s.column, s.at) for s in target.summaries if (s.table, s.edge) == (plan.table, link.name)]
        for column, there in [*((v.column, v.at) for v in target.values), *same]:
            at = plan.column_at(column)
            if at is not None and there in link.carried:
                found.setdefault(at, []).append(link.carried_at + link.carried.index(there))
    return found


def _unseen(plan: TablePlan, plans: Mapping[str, TablePlan]) -> list[int]:
    """Codes of links into tables too small for the values of their rows to be tied to their code: what is carried says
    more of the row that is there. Where orphans are kept, only the code tells them from rows without a target."""
    return [k.at for k in plan.matched if k.carried and not k.orphans and plans[k.parent].rows < TIED_ROWS]


def _size(name: str, plan: TablePlan, one: TrainingSet) -> tuple[int, int]:
    """(training rows, sub-columns) of a model; a model with nothing to choose needs no rows."""
    if name != plan.table:
        return one.train_rows, plan.structure
    drawn = plan.cards[plan.fixed :]
    return (one.train_rows if max(drawn) > 1 else 0), len(drawn) + FIXED_COST * (plan.fixed > 0)


def _context_features(plan: TablePlan, plans: Mapping[str, TablePlan]) -> list[list[list[float]]]:
    if plan.owner is None:
        return []
    parent = plans[plan.owner.parent]
    orphan: list[list[list[float]]] = [[[], []]] if plan.owner.orphans else []
    return parent.features(plans) + _context_features(parent, plans) + orphan
