"""Tests of deploys/."""
