"""What holds pods to network policies."""
