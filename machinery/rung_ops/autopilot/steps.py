"""The steps of a pass by name, and the first ones.

Each step can be run again after it was interrupted: it checks what it has done before.
"""

from functools import partial

from rung_ops.autopilot import deployment, observation, retraining
from rung_ops.autopilot.step_runner import Step
from rung_ops.autopilot.tools import Tools

# The first steps of every pass; `decide` names the next ones (observation.THEN).
FIRST = ("look", "settle", "decide")


def steps(tools: Tools) -> dict[str, Step]:
    """Return all steps by name."""
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
