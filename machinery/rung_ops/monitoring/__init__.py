"""Check what was predicted: drift, missing values, bounds, age, and what really happened.

A check, from log to verdict:

- run: `poe monitor`, its files and its exit code; limits: what ops/monitor.toml sets
- release_info: what the bundle says of itself; window: rows of the log; outcomes: what happened
- check: puts the parts together as one value, result.MonitorResult; problems: in sentences
- drift: each feature against its reference, with samples (two samples of one feature),
  kolmogorov and contingency (the tests), stability (the PSI)
- defaults, ranges, freshness: what was missing, out of bounds, too old
- feature_quality: entity features without a value, and the age of their store
- quality: the metric by day and slice, with quality_metric (which) and rung_ops.statistics.jackknife (how
  certain)
- hooks: the project's own check

What is made of it:

- status: JSON for programs; exposition: gauges for Prometheus
- report, report.html: the report for people, with plots

Alert rules and dashboard are static files of the project, in ops/prometheus.
"""
