"""The autopilot: observe, decide, train, gate, release, promote or roll back.

`poe autopilot` (run.py) makes one pass:

- Rules: policy.py reads ops/autopilot.toml, facts.py defines the facts of a decision, gather.py
  collects them (request_errors.py: failed requests; labelled.py: predictions with outcomes;
  post_promotion_check.py: a promoted release compared with the previous one), decide.py applies
  the rules.
- Steps: steps.py lists them. observation.py observes and decides, retraining.py trains a version
  (with collect.py and commits.py), deployment.py gates, releases, deploys or rolls back. tools.py
  runs the project's poe tasks; hooks.py calls its veto and its notifications.
- Safety: step_runner.py runs the steps and journal.py records each, so that the next pass finishes
  one that was killed. system/locks.py prevents two passes at once; publish.py pushes the commits.

A scheduled job, which has a fresh checkout each time, needs:

- RELEASES and LOGS, the folders of the service, and OUTCOMES, the folder of labels. The journal and
  its lock are in RELEASES/autopilot, so that they persist with the releases.
- the full git history (`fetch-depth: 0`), the versioned data (`poe pull`), and a persistent DVC
  remote.
- AUTOPILOT_PUSH, such as "origin main": remote and branch to push the autopilot's commits to, before
  a deployment. Unset, they stay in the checkout. The job needs permission to push there, and the
  push should not start another job: each pass would train twice.
- MLFLOW_TRACKING_URI, a persistent registry; RELEASE_PRIVATE_KEY to sign, and what add-ons
  sign with.

Exit code 0: the pass ended, whatever it decided. 1: a step failed; the next pass retries it.
"""
