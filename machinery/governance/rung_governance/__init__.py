"""Governance of releases: three products that an add-on brings to a project.

approval: what may be served, who decided that, and the signed log that shows it. documents: records,
technical file, examination. privacy: erasure, retention. The two rest on approval, which needs neither.
"""
