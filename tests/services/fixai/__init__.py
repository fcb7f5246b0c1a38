"""FixAI's services."""
