"""A load test of the service against the limits in ops/service.toml."""
