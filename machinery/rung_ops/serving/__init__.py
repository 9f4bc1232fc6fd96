"""The prediction service: loads signed releases and answers from them, and never imports training.

The way of a request: serve and server start; app routes; intake reads; requests and arrow make
rows (columns, value_types, rules and patterns are the contract, arrow_guard comes before polars,
refusal and complaints say what is wrong); jobs and batching score them with a served release
(release, predictors, boosters, pace); answers writes.
What is held: watch follows the environment's state (loading, recovery); service holds what answers.
Written down: log, log_files; metrics, histogram. For people: pages, told, openapi, docs_page.
A new release: rollout, with arms, shadow, figures, sequential, verdict, and policy of ops/rollout.toml.
The load test: load, with load_client, load_report, load_rows and load_target.
Settings of ops/service.toml: settings, tables.
"""
