"""Approval and audit: what may be served, who decided that, and the signed log that shows it."""
