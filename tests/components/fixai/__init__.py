"""FixAI on a cluster: its graph, its edges, and what a real API server says to it."""
