"""The loop: observe, decide, train, gate, release, promote or roll back.

`poe autopilot` (run.py) makes one pass:

- rules: policy.py reads ops/autopilot.toml, facts.py is what a decision rests on, gather.py collects
  it (request_errors.py: failed requests, labelled.py: predictions with their outcomes,
  post_promotion_check.py: a promoted release compared with the one before it), decide.py applies
  the rules.
- steps: steps.py lists them; observation.py looks and decides, retraining.py makes a version
  (collect.py, commits.py), deployment.py gates, releases and deploys it or rolls back. tools.py
  runs the project's own tasks, as a person would type them; hooks.py asks the project's veto and
  sends its notifications.
- safety: step_runner.py carries the steps out and journal.py records each, so that a pass killed
  at any moment is finished by the next; system/locks.py keeps two passes apart; publish.py pushes
  the commits.

What a scheduled job needs (a CI machine has a fresh checkout each time):

- RELEASES and LOGS, the folders of the service, and OUTCOMES, the folder in which labels arrive.
  The journal and its lock lie in RELEASES/autopilot: they belong to what is served, not to a
  checkout, and outlive the machine as the releases do.
- the whole history (`fetch-depth: 0`), the versioned data (`poe pull`), and a DVC remote that
  outlives the machine.
- AUTOPILOT_PUSH, as "origin main": remote and branch to which the autopilot's commits go, before
  anything is deployed. Unset, they stay in the checkout. The job has to be allowed to push there,
  and that push should start no other job: each pass would train twice.
- MLFLOW_TRACKING_URI, a registry that outlives the machine; RELEASE_PRIVATE_KEY to sign, and under
  governance AUDIT_PRIVATE_KEY.

Exit code 0: the pass ended, whatever it decided. 1: a step failed; the next pass tries it again.
"""
