"""The load engine."""
