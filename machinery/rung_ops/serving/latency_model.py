"""How long a batch will take: so much to begin with, and so much for each row."""

LEARN = 0.1  # the share of an error of the estimate that is corrected at once
MOST = 10.0  # times the estimate: a batch that took longer met with something that will pass
LEAST = 1e-9  # seconds: what is nothing at all could not grow by a share of itself


class LatencyModel:
    """An estimate of seconds that learns from batches of any size.

    Attributes:
        first: seconds that a batch takes whatever its size.
        each: seconds that each of its rows takes.
    """

    def __init__(self, first: float, each: float) -> None:
        """Begin with what was measured before."""
        self.first = max(first, LEAST)
        self.each = max(each, LEAST)

    def seconds(self, rows: int) -> float:
        """Estimate what a batch takes."""
        return self.first + rows * self.each

    def learn(self, rows: int, seconds: float) -> None:
        """Take in what a batch took.

        Each part is corrected as far as it counts in a batch of this size, so that batches of
        different sizes tell the parts apart.
        """
        expected = self.seconds(rows)
        error = LEARN * (min(seconds / expected, MOST) - 1)
        share = self.first / expected
        self.first = max(self.first * (1 + error * share), LEAST)
        self.each = max(self.each * (1 + error * (1 - share)), LEAST)
