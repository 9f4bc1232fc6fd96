"""The steps of a pass: their names, their order, and what does each.

Each may be begun a second time, and then finds what it has done already.
"""

from functools import partial

from rung_ops.autopilot import deployment, observation, retraining
from rung_ops.autopilot.step_runner import Step
from rung_ops.autopilot.tools import Tools

# Every pass begins with these; `decide` names what follows (observation.THEN).
FIRST = ("look", "settle", "decide")


def steps(tools: Tools) -> dict[str, Step]:
    """Give all steps by their names."""
    work = {
        "look": observation.look,
        "settle": observation.settle,
        "decide": observation.decide,
        "collect": retraining.collect,
        "commit rows": retraining.commit_rows,
        "train": retraining.train,
        "commit run": retraining.commit_run,
        "gate": deployment.gate,
        "release": deployment.release,
        "publish": deployment.publish,
        "deploy": deployment.deploy,
        "roll back": deployment.roll_back,
        "end trial": deployment.end_trial,
    }
    return {name: partial(step, tools) for name, step in work.items()}
