"""A load test of the service against the limits in ops/service.toml."""

from rung_ops.addons import Addon, Verb

ADDON = Addon(
    summary="the service under load",
    path="ops/service.toml",
    verbs={
        "load-test": Verb(
            "rung_ops.load_test.load_test",
            "serve",
            "test the service under load against ops/service.toml",
        )
    },
)
