"""Conditions of CI: those that are never met, and those that only another event than a schedule meets."""

import re

FALSE = re.compile(r"false|never|0|!\s*true|not\(\s*true\s*\)", re.IGNORECASE)
LITERAL = r"(true|false|\d+|'[^']*')"
UNEQUAL = re.compile(
    rf"(?:eq\(\s*{LITERAL}\s*,\s*(?!\1){LITERAL}\s*\)|{LITERAL}\s*==\s*(?!\3){LITERAL})",
    re.IGNORECASE,
)
EXPRESSION = re.compile(r"\$\{\{(.*)\}\}", re.DOTALL)

EVENT = re.compile(r"event_name|CI_PIPELINE_SOURCE|Build\.Reason", re.IGNORECASE)
NOT_SCHEDULED = re.compile(r"!=\s*[\"']?schedule|\bne\([^)]*schedule", re.IGNORECASE)


def is_false(condition: str) -> bool:
    """Say whether a condition can never be met."""
    text = condition.strip()
    if expression := EXPRESSION.fullmatch(text):
        text = expression[1].strip()
    if FALSE.fullmatch(text) or UNEQUAL.fullmatch(text):
        return True
    if text.lower().startswith("and(") and text.endswith(")"):
        return any(map(is_false, _arguments(text[4:-1])))
    return "&&" in text and "||" not in text and any(map(is_false, text.split("&&")))


def _arguments(text: str) -> list[str]:
    arguments, depth = [""], 0
    for character in text[:1_000]:
        depth += (character == "(") - (character == ")")
        if character == "," and not depth:
            arguments.append("")
        else:
            arguments[-1] += character
    return arguments


def names_another_event(condition: str) -> bool:
    """Say whether a condition asks for an event, and for no schedule."""
    if not EVENT.search(condition):
        return False
    if NOT_SCHEDULED.search(condition):
        return True
    return "schedule" not in condition.lower() and re.search(r"==|\beq\(", condition) is not None
