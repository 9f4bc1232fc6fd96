"""The library's small project that predicts quantiles."""

from machinery.tests.quantiles.conftest import *  # noqa: F403  fixtures
