"""The prediction service: loads signed releases and serves predictions; never imports training.

- A request: `serve` and `server` start the service (`protocol`, `connections` and `body_budget` limit
  connections), `app` routes, `request_input` reads headers and bodies, `requests` and `arrow` build
  rows (`columns`, `value_types`, `rules` and `patterns` are the contract; `arrow_guard` checks Arrow
  before polars reads it; `refusal` and `validation_errors` are the errors), `jobs` and `batching` score
  them with a `loaded_release` (`release`, `predictors`, `boosters`, `latency_model`), `hooks` calls the
  project's code, `answers` writes the response.
- Reasons of a prediction: `explaining` takes requests for them, `reasons` names the adverse ones,
  `effects` computes what each feature adds.
- Releases: `watch` follows the environment's state (`loading`, `recovery`); `service` holds the loaded
  ones (`held_releases`).
- Logs and metrics: `batch_recorder` fills `log_queue`, `log_files`, `metrics`, `histogram`.
- Pages: `routes`, `status`, `openapi`, `docs_page`.
- Rollout: `rollout`, `traffic_split`, `shadow`, `trial_figures`, `sequential`, `rollout_verdict`;
  `policy` reads ops/rollout.toml.
- ops/service.toml: `settings`, `slo`.
"""
