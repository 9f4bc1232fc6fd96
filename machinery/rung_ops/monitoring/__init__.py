"""Check what was predicted: drift, missing values, bounds, age, and what really happened.

- observation: `poe monitor`, its files and its exit code, and the project's own check; limits: what
  ops/monitor.toml sets; release_info: what the bundle says of itself; outcomes: what happened
- check: puts the parts together as one value, monitor_result
- inputs: what was missing, out of bounds, too old; quality: the metric by day and slice; of drift see
  rung_ops.statistics
- monitor_result: sentences, JSON and gauges; monitor_report: the report for people

Alert rules and dashboard are static files of the project, in ops/prometheus.
"""
