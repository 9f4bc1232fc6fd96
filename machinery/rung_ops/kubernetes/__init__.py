"""The manifests in deploy/kubernetes: built, held against Kubernetes' schemas, and applied."""
