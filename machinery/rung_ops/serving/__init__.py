"""The prediction service: loads signed releases and serves predictions; never imports training.

- Start: `serve` reads settings and makes the service, `server` runs it and bounds connections.
- A request: `access` admits the caller, `app` reads headers and body, `batching` scores the rows
  with a `loaded_release` and the project's `hooks`, `answers` writes the response; then `service`
  records the batch in `metrics` and by `log_writer`. Entity features come from `entity_lookup`.
- Reasons of a prediction: `explaining`.
- Releases: `watch` follows what `state_reader` reads, loads releases, and swaps them in `service`.
- Rollout: `rollout` judges canary and shadow, `shadow` compares, `shadow_process` runs code that
  is not approved yet.
- Pages: `pages`.
- What is reported of requests: `request_log` in JSON, `telemetry` by OpenTelemetry.

The layer below, `model`, has the release itself: its contract, predictors and reasons.
"""
