"""A Jenkinsfile: the scripts that it runs, and the blocks of it that never run."""

import re
from collections.abc import Iterator

STARTS = re.compile(
    r"(?<![\"'$\w])(?:sh|bat|pwsh|powershell)\b\s*\(?\s*(?:script\s*:\s*)?"
    r"(?:'''(?P<a>(?:[^']|'(?!''))*+)'''|\"\"\"(?P<b>(?:[^\"]|\"(?!\"\"))*+)\"\"\""
    r"|'(?P<c>[^'\n]*)'|\"(?P<d>[^\"\n]*)\")"
)
IDLE = re.compile(
    r"\bif\s*\(\s*false\s*\)\s*\{"
    r"|(?P<stage>\bwhen\s*\{\s*expression\s*\{\s*(?:return\s+)?false\b)"
    r"|\bdef\s+(?P<function>\w+)\s*\([^)\n]*\)\s*\{"
)
BRACE = re.compile(r"[{}]")
MOST = 200  # blocks


def scripts(text: str) -> Iterator[tuple[str, int]]:
    """Give each script of a shell that is started, and its line."""
    for match in STARTS.finditer(text):
        script = next(filter(None, match.groups()), "")
        yield script, text.count("\n", 0, match.start()) + 1


def without_idle_blocks(text: str) -> str:
    """Return a Jenkinsfile without what is never true, and without functions that nothing calls."""
    position = 0
    for _ in range(MOST):
        match = IDLE.search(text, position)
        if match is None:
            break
        position = match.end()
        name = match["function"]
        if name and len(re.findall(rf"\b{name}\b", text)) > 1:
            continue
        start = _opened(text, match.start()) if match["stage"] else match.end()
        end = _closed(text, start)
        text = text[:start] + "\n" * text.count("\n", start, end) + text[end:]
        position = start
    return text


def _opened(text: str, position: int) -> int:
    """Return where the block begins that is around a position."""
    depth = 0
    for match in reversed(list(BRACE.finditer(text, 0, position))):
        depth += 1 if match[0] == "}" else -1
        if depth < 0:
            return match.end()
    return 0


def _closed(text: str, position: int) -> int:
    """Return where the block ends that begins before a position."""
    depth = 1
    for match in BRACE.finditer(text, position):
        depth += 1 if match[0] == "{" else -1
        if not depth:
            return match.start()
    return len(text)
