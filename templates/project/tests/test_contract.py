"""Your code keeps what it promises to the machinery; each promise that does not hold is named."""

from rung_ops.checks.contract_suite import *  # noqa: F403
