"""One module a stack, each with a function `declare`; `__main__` picks by the stack's name."""

ABSENT = "HEARTH_ABSENT"
"""Variable that names the machines that do not answer, with spaces between them."""
