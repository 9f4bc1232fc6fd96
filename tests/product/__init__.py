"""Generated projects, used as their owners use them: installed, run, broken and repaired."""

import pytest

# What holds in many suites is asserted in one place, and has to say as much when it fails.
pytest.register_assert_rewrite("tests.product.ci_trials")
