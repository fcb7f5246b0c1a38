"""The Kubernetes plugin."""
