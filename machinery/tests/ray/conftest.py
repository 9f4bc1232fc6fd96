"""Before any test here imports Ray: rung_ops.ray.connect sets variables that Ray reads once."""

import rung_ops.ray.connect  # noqa: F401
