"""The checks of rows under the name that notebooks of earlier projects import."""

from rung_ops.contract.row_checks import Problem, inspect

__all__ = ["Problem", "inspect"]
