"""The manifests in deploy/kubernetes: built, held against Kubernetes' schemas, and applied.

Rung keeps this file; change it through deploy/kubernetes/overlays.
"""
