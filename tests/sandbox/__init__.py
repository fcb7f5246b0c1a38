"""Tests of the sandbox's parts that need neither root nor a lab."""
