"""Tests of the policies, by the engine too."""
