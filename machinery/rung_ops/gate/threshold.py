"""How far a figure may be worse: in points, or as a share of the figure where that has a unit.

0.02 of an AUC is two points. 0.02 of a mean absolute error of 43.7 bikes would be nothing, and of
0.001 tonnes everything: there the same number means 2 % of the figure. The gate, the monitor and
the autopilot all take their thresholds from here.
"""

from dataclasses import dataclass

from rung_ops.system.printable import four_digits


@dataclass(frozen=True)
class Threshold:
    """How far a figure may be worse than another.

    Attributes:
        amount: in the unit of the figure, 0 or more.
        share: as it is in the policy file.
        figure: size of the figure that it is a share of; 1 if it is in points.
    """

    amount: float
    share: float
    figure: float

    def __str__(self) -> str:
        if self.figure == 1:
            return four_digits(self.amount)
        return f"{four_digits(self.amount)} ({four_digits(100 * self.share)} % of {four_digits(self.figure)})"


def of(share: float, figure: float, higher_is_better: bool) -> Threshold:
    """Return the threshold that `share` means for a figure.

    Where lower is better (an error, a loss), it is a share of the figure. Where higher is better,
    it is in points up to a figure of 1 (an AUC, an accuracy, R2), and a share of what is larger (a
    profit, a negative error), so that nothing jumps at 1.

    Args:
        share: of the policy file, 0 or more.
        figure: that may be missed by so much, such as the champion's.
        higher_is_better: its direction.
    """
    size = max(1.0, abs(figure)) if higher_is_better else abs(figure)
    return Threshold(share * size, share, size)
