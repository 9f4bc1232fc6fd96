"""The autopilot: observe, decide, train, gate, release, promote or roll back.

`poe autopilot` (passes.py) makes one pass:

- Rules: policy.py reads ops/autopilot.toml, gather.py collects the facts (labelled_rows.py: predictions
  with outcomes; post_promotion_check.py: a promoted release compared with the previous one), decide.py
  applies the rules.
- Steps: steps.py has them all, in their order, with the project's veto and notifications.
- Safety: step_runner.py runs the steps and journal.py records each, so that the next pass finishes
  one that was killed. system/locks.py prevents two passes at once; commits.py commits and pushes.

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
