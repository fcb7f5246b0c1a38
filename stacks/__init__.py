"""One module a stack, each with a function `declare`; `__main__` picks by the stack's name."""
