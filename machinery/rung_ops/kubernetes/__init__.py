"""The manifests in deploy/kubernetes: built, checked against Kubernetes' schemas, and applied."""
