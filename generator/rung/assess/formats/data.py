"""An assessment for machines."""

import json
from typing import Any

from rung.assess.assessment import Assessment, measured
from rung.assess.formats import messages
from rung.assess.steps import Item, Step
from rung.assess.strategy import Block, Reckoned, Rung


def render(assessment: Assessment, *, explain: bool) -> str:
    """Return the assessment as JSON; `rung new --from-assessment` and `--answers` read it."""
    return json.dumps(_data(assessment), indent=2, ensure_ascii=False) + "\n"


def _data(assessment: Assessment) -> dict[str, Any]:
    strategy, choice = assessment.strategy, assessment.choice
    questions = assessment.weights.questions
    return {
        "answers": {
            name: list(given) if questions[name].several else given[0]
            for name, given in assessment.answers.items()
            if not (assessment.measured and name in measured(assessment.weights))
        },
        "assumed": dict(assessment.assumed),
        "choice": {
            name: value
            for name, value in (
                ("game", choice.game),
                ("start", choice.start),
                ("target", choice.target),
            )
            if value is not None
        },
        "scan": {"level": assessment.scan.level, "coverage": dict(assessment.scan.coverage)}
        if assessment.scan
        else None,
        "project": dict(assessment.project),
        "game": {
            "name": strategy.game.name,
            "played": strategy.game.played,
            "because": strategy.game.because,
            **_reckoned(strategy.game.score),
        },
        "contradictions": list(assessment.contradictions),
        "adoption": _reckoned(strategy.adoption),
        "start": _rung(strategy.start),
        "target": _rung(strategy.target),
        "north_star": _rung(strategy.north),
        "steps": [_step(step) for step in assessment.roadmap.steps],
        "commands": [
            {"run": command, "brings": brings} for command, brings in messages.commands(assessment)
        ],
        "beside": [
            {"rung": other.rung, "any_of": list(other.any_of)}
            for other in assessment.roadmap.beside
        ],
        "not_yet": [
            {"what": entry.what, "because": entry.because} for entry in assessment.roadmap.not_yet
        ],
        "left": [_block(block) for block in strategy.left],
        "source": assessment.weights.source,
        "warning": assessment.weights.warning,
    }


def _reckoned(sum_: Reckoned) -> dict[str, Any]:
    return {
        "total": sum_.total,
        "terms": [
            {
                "what": term.what,
                "said": term.answer,
                "weight": term.weight,
                "share": term.share,
                "points": term.points,
            }
            for term in sum_.terms
        ],
    }


def _rung(rung: Rung) -> dict[str, Any]:
    return {"level": rung.level, "because": list(rung.because)}


def _block(block: Block) -> dict[str, Any]:
    return {
        "block": block.name,
        "priority": block.priority,
        "worth": _reckoned(block.worth),
        "gap": block.gap,
        "gap_because": block.gap_because,
        "because": block.because,
        "after": [{"needs": list(rule.needs), "because": rule.because} for rule in block.after],
    }


def _step(step: Step) -> dict[str, Any]:
    return {
        "step": step.name,
        "quarter": step.quarter,
        "owner": step.owner,
        "by_hand_days": step.days,
        "with_rung": messages.with_rung(step),
        "unlocks": step.unlocks,
        "because": list(step.because),
        "tasks": list(step.tasks),
        "priority": _block(step.block) if step.block else None,
        "capabilities": [_item(item) for item in step.items],
        "later": [_item(item) for item in step.later],
    }


def _item(item: Item) -> dict[str, Any]:
    return {
        "id": item.capability.id,
        "rung": item.rung,
        "state": item.state,
        "why": item.capability.why,
        "fix": item.capability.fix,
        "by_hand": item.capability.effort,
        "with_rung": item.with_rung,
        "source": item.capability.source,
        "because": list(item.because),
    }
