"""Tests of the programs that the lab runs."""
