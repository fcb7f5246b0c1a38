"""Tests of hearth/audit, on an account of moto's."""
