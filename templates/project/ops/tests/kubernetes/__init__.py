"""Tests of the manifests in deploy/kubernetes and of what brings them to a cluster.

Rung keeps this file; change it through deploy/kubernetes/overlays.
"""
