"""Governance of releases: three products that an add-on brings to a project.

approval: what may be served, who decided that, and the signed log that shows it. documents: the
records, the technical file and the examination of a version. privacy: erasure and retention.
documents and privacy rest on approval, which needs neither. All three read records by their schemas
(record_check) and know the text of the example (example_text); the monitor needs all of them.
"""
