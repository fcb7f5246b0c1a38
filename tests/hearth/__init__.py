"""Tests of hearth/."""
