"""What governance adds to releases: bounds, approval, a person who can stop it, and evidence.

Approval: approve (`poe approve`), signed_approval (what is signed), signatures (ssh-keygen), people
and developers (who made a version), rejudge (the gate again), committed, release.
Records: record_check (one record), records (all of them: `rung-ops records`), approval (the
validation record), champion_check (whether the registry's champion is approved).
Plan: plan (reads the plans), version_facts (what they bound of a version), bounds (compares the
two), gate.
Promotion: gate_record (the gate's verdict in the audit log), deploy (into the shadow), promote (out
of it), rollback; without a service: registry_promotion, registry_rollback.
Oversight: overrides, kill_switch, oversight (both over HTTP).
Evidence: audit (the log), anchors (its signatures), verification, keys; monitor.
Technical file: technical_file, file_sections (what belongs where), file_parts, provenance,
operation_record (the sources), markdown (the writer).
"""
