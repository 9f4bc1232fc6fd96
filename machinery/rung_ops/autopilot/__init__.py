"""The autopilot: observe, decide, train, gate, release, promote or roll back; passes.py makes a pass.

A scheduled job, which has a fresh checkout each time, needs RELEASES (with the journal and its lock), LOGS
and OUTCOMES, the full git history, the versioned data and a DVC remote that persists; AUTOPILOT_PUSH, such
as "origin main", for its commits, by a push that starts no other job; MLFLOW_TRACKING_URI, and the keys.

Exit code 0: the pass ended, whatever it decided. 1: a step failed; the next pass retries it.
"""
