"""Look at what was predicted: drift, missing values, bounds, age, and what really happened.

A check, from log to verdict:

- run: `poe monitor`, its files and its exit code; limits: what monitor.toml sets
- released: what the bundle says of itself; window: rows of the log; outcomes: what happened
- check: puts the parts together as one value, result.Seen; problems: what is wrong, in sentences
- drift: each feature against its reference, with samples (two samples of one feature),
  kolmogorov and contingency (the tests), stability (the PSI)
- defaults, ranges, freshness: what was missing, out of bounds, too old
- quality: figures by day and slice, with yardstick (by what) and jackknife (how sure)

What becomes of it:

- status: JSON for programs; exposition: figures for Prometheus
- page: the report, with sections, cards (a feature each), pictures and tables

Alert rules and dashboard are static files of the project: ops/prometheus.
"""
