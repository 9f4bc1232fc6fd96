"""The commands `rung fleet update` and `rung fleet climb`."""

import contextlib
import sys
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from rung.options import Fleet, NoVerify, Trusted, Version

if TYPE_CHECKING:
    from rung.pull_requests.branch import Task

MOST = 4  # repositories at once, where `--jobs` does not say it: each runs its own checks

Jobs = Annotated[
    int | None, typer.Option(metavar="N", min=1, max=64, help="How many are done at once.")
]


def update(
    where: Fleet,
    template_version: Version = None,
    template: Trusted = None,
    no_verify: NoVerify = False,
    jobs: Jobs = None,
) -> int:
    """Request `rung update` in each. Its own checks run here."""
    from rung.core.climbing.plans import ChangeRequest
    from rung.pull_requests.branch import Task

    change = ChangeRequest(version=template_version, newest=template_version is None)
    return _do(where, Task(change, "rung/update", template, not no_verify), jobs)


def climb(
    where: Fleet,
    to: Annotated[int, typer.Option(metavar="N", min=0, max=4, help="The rung to climb to.")],
    template: Trusted = None,
    no_verify: NoVerify = False,
    jobs: Jobs = None,
) -> int:
    """Request `rung climb` in each below a rung. Its own checks run here."""
    from rung.core.climbing.plans import ChangeRequest
    from rung.pull_requests.branch import Task

    change = ChangeRequest({"level": to})
    return _do(where, Task(change, f"rung/climb-{to}", template, not no_verify), jobs)


def _do(where: list[str], task: "Task", jobs: int | None) -> int:
    """Do a task in every repository, with a line for each; return 1 if one of them failed."""
    from rung.check.fleet import repositories, reviews, workers
    from rung.pull_requests.branch import bring
    from rung.system.printable import printable

    fleet = repositories.fleet(where)
    width = max(len(repository.name) for repository in fleet)
    number = min(jobs or min(MOST, reviews.processors()), len(fleet))
    counts: Counter[str] = Counter()
    with contextlib.closing(workers.run_all(partial(bring, task=task), fleet, number)) as results:
        for index, outcome in results:
            word, text = outcome or ("failed", reviews.DIED)
            counts[word] += 1
            print(printable(f"{fleet[index].name:{width}}  {word}: {text}"), flush=True)
    print(", ".join(f"{count} {word}" for word, count in counts.items()), file=sys.stderr)
    return 1 if counts["failed"] else 0
