"""Releases: signed bundles, the environments that serve them, and the verbs that change those.

- Making one, `poe release`: `make`, from what rung_ops.tracking.versions downloads. `contract_file` says
  what it reads and answers; `export` tries ONNX (`to_onnx`), LightGBM and skops, and selects one.
- Trust: `signing` (`poe keys`, `rung-ops sign`); rung_ops.model.bundle checks a signature and
  needs no signing library.
- Environments: `state` (state.json, and every change), `history` (a hash chain of events), `rollout`
  (how a release takes over).
- Verbs: `production_gate` (`poe gate`), `deploy`, `rollback`, `status` (`poe releases`), `lineage`.

Three gates share one comparison (rung_ops.gate.judge):

- `gate.registry_gate` compares a version with the champion of the registry (rung 2);
- `release.production_gate` compares it with the release that production serves (rung 3);
- an add-on may do the same and ask for more, such as an approval.
"""
