"""Releases: signed bundles, where they are served, and how they come and go.

- What a release is: `bundle` (files, manifest), `contract_file`, `dtypes`, `content` (fills one),
  `reference` (the rows it carries), `sources` (imports its code), `estimators` (skops).
- Making one, `poe release`: `make`, from what `recorded` brings back from the registry. Its model:
  `export` tries `to_onnx`, `to_lightgbm` and skops on the rows of `trial`; `speed` takes one.
- Trust: `keys` (`poe keys`), `secret` (a key from CI), `signing` (writes the signature), `verify`
  (checks it; no library).
- What is served: `places` (folders), `state` (every change), `stored` (state.json), `history`
  (a chain of hashes), `durable` (files that survive a kill).
- Coming and going: `gate` (`poe gate`), `passed` (its verdict), `deploy` (`poe deploy`), `install`
  (copies a candidate), `rollback` (`poe rollback`), `standing` (`poe releases`), `alias`.
"""
