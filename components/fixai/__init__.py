"""FixAI on Kubernetes: one component a subject, each usable by itself."""
