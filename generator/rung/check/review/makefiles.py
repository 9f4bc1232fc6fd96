"""The targets of Makefiles, what each needs and what it runs."""

import re
from collections import deque
from collections.abc import Iterator

from rung.check.review.content import Content

LocatedCommand = tuple[str, str, int]  # a command, the file it is in, and the line
# By target: what it needs, what it runs.
Rules = dict[str, list[tuple[list[str], list[LocatedCommand]]]]

MOST = 500  # targets of one command
RULE = re.compile(r"^([A-Za-z0-9_./%-]+(?:[ \t]+[A-Za-z0-9_./%-]+)*)[ \t]*::?(?!=)[ \t]*([^\n#=]*)")


def rules(content: Content) -> Rules:
    """Return the targets of all Makefiles, in their order."""
    rules: Rules = {}
    for file in content.files.find("**/Makefile", "**/GNUmakefile", "**/*.mk")[:50]:
        recipe: list[LocatedCommand] = []
        goes_on = False
        for number, line in enumerate((content.text(file) or "").split("\n"), 1):
            if line.startswith("\t") or goes_on:
                text = line.strip()
                if goes_on and recipe:
                    before, _, first = recipe.pop()
                    recipe.append((f"{before[:-1].rstrip()} {text}"[:1_000], file, first))
                elif text.lstrip("@-+") and not text.startswith("#"):
                    recipe.append((text.lstrip("@-+"), file, number))
                goes_on = text.endswith("\\") and bool(recipe)
            elif match := RULE.match(line):
                recipe = []
                for target in match[1].split():
                    if target != ".PHONY":
                        rules.setdefault(target, []).append((match[2].split(), recipe))
    return rules


def commands(rules: Rules, arguments: str) -> Iterator[LocatedCommand]:
    """Give what make runs for its arguments: the recipes of the targets, and of what each needs."""
    wanted = [each for each in arguments.split() if not each.startswith("-") and "=" not in each]
    folder = re.search(r"-C\s*(\S+)", arguments)
    targets = [each for each in wanted if not folder or each != folder[1]]
    first = next(iter(rules), None)
    waiting = deque(targets or ([first] if first else []))
    visited: set[str] = set()
    while waiting and len(visited) < MOST:
        target = waiting.popleft()
        if target not in visited:
            visited.add(target)
            for needed, recipe in rules.get(target, []):
                waiting.extend(needed)
                yield from recipe
