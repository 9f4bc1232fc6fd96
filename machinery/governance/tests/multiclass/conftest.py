"""The library's small project with a target of three classes."""

from machinery.tests.multiclass.conftest import *  # noqa: F403  fixtures
