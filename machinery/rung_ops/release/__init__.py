"""Releases: signed bundles, the environments that serve them, and the verbs that change those.

- What a release is: `bundle` (files, manifest), `contract_file`, `reasons_file` (how predictions are
  explained), `dtypes`, `content` (fills one), `source_import` (imports its code), `estimators` (skops).
- Making one, `poe release`: `make`, from what `registry_artifacts` downloads. Its model: `export`
  tries `to_onnx`, `to_lightgbm` and skops on the rows that `export_trial` draws; `speed` selects one;
  a model.py with save() and load() has a format of its own (rung_ops.model.predictors).
- Trust: `keys` (`poe keys`), `secret` (a key from CI), `signing` (writes the signature), `sign` (signs
  what another job of CI built), `verify` (checks a signature; needs no signing library).
- Environments: `paths` (folders), `state` (every change), `state_file` (state.json), `history`
  (a hash chain of events). Locks and atomic writes are in rung_ops.system.
- Verbs: `gate` (`poe gate`), `gate_check` (reads its verdict), `deploy` (`poe deploy`), `install`
  (copies a candidate), `rollback` (`poe rollback`), `status` (`poe releases`), `champion_alias`.

Three gates share one comparison (rung_ops.gate.verdict):

- `gate.judge` compares a version with the champion of the registry (rung 2);
- `release.gate` compares it with the release that production serves (rung 3);
- an add-on may do the same and ask for more, such as an approval.
"""
