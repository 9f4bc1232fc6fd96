"""What governance adds to releases: bounds, approval, a person who can stop it, and evidence.

The plan, and whether a version keeps to it: plan (reads the plans), facts (what they bound of a
version), bounds (holds one against the other), gate.
The way to production: judged (the gate's verdict, kept), approval (the validation record), deploy
(into the shadow), promote (out of it), rollback.
People above the machine: overrides, kill_switch, stop, resume, oversight (all of it over HTTP).
Evidence: audit (the log), anchors (its signatures), verification, keys; monitor.
The technical file: technical_file, sections (what belongs where), parts, provenance, operation
(where it comes from), tables (how it is written).
"""
