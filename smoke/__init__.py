"""Smoke suites: hold a deployed lab to what its site declares, from outside, through its gateway.

To add a suite, write `smoke/suites/<name>.py` and list it in `smoke/suites/__init__.py`.
"""
