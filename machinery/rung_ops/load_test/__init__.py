"""A load test of the service against the limits in ops/service.toml."""

PREFIX = "load-"  # of the request ids of every test, to find them in a log
