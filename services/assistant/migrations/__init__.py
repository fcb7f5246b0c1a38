"""The schema, as numbered steps in plain SQL; `grants.sql` is applied after them, every time.

A step that was applied somewhere is never edited: write the next number.
"""
