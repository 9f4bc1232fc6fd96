"""What the answers count: shares in [0, 1], and weighed sums of them with their terms."""

from collections.abc import Mapping
from dataclasses import dataclass

from rung.assess.weights import Answers, Question, Term, Weights

DIGITS = 9  # sums of thirds and tenths are compared after rounding to this

DERIVED_LABELS = {
    "governance": "how far this is the governance game",
    "adoption": "how fast new practice is adopted",
    "lightness": "being far from the governance game",
    "always": "everything else depends on it",
}


@dataclass(frozen=True)
class Counted:
    """A term as it counted: a weight times the share, in [0, 1], of `what`."""

    what: str
    answer: str
    weight: float
    share: float

    @property
    def points(self) -> float:
        """Return what the term adds to its sum."""
        return self.weight * self.share


@dataclass(frozen=True)
class Reckoned:
    """A sum and its terms."""

    total: float
    terms: tuple[Counted, ...]


class Shares:
    """The shares of all answers, and of what is derived from them."""

    def __init__(self, weights: Weights, answers: Answers) -> None:
        """Weigh the answers; there must be one to every question."""
        self.weights = weights
        self.answers = answers
        self._shares = {
            name: share(question, answers[name]) for name, question in weights.questions.items()
        }
        self.governance = self.sum(weights.governance)
        self.adoption = self.sum(weights.adoption)
        self._shares |= {
            "governance": self.governance.total,
            "adoption": self.adoption.total,
            "lightness": max(0.0, 1 - 2 * self.governance.total),
            "always": 1.0,
        }

    def __getitem__(self, name: str) -> float:
        """Return the share of a question's answer or of a derived value."""
        return self._shares[name]

    @property
    def online(self) -> bool:
        """Whether a caller waits for predictions."""
        return self["timing"] >= self.weights.online_from

    def sum(self, terms: tuple[Term, ...]) -> Reckoned:
        """Return the weighed sum of the terms that count."""
        counted = tuple(
            Counted(*self.label(term.of), term.weight, self[term.of])
            for term in terms
            if self.reached(term.since)
        )
        return Reckoned(round(sum(term.points for term in counted), DIGITS), counted)

    def reached(self, least: Mapping[str, float]) -> bool:
        """Return whether every share is at least as large as the one given."""
        return all(self[name] >= bound for name, bound in least.items())

    def label(self, name: str) -> tuple[str, str]:
        """Return the name of a share, and the answer."""
        if name in self.weights.questions:
            return self.weights.questions[name].short, ", ".join(self.answers[name])
        return DERIVED_LABELS[name], ""


def share(question: Question, names: tuple[str, ...]) -> float:
    """Return the mean share of the answers to these questions, in [0, 1]."""
    answers = [question.answer(name) for name in names]
    return sum(answer.share for answer in answers if answer) / len(names)
