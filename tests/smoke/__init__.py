"""Tests of the smoke suites, against gateways of known behaviour on loopback."""
