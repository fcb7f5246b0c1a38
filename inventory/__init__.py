"""What exists: the typed model of a site, the catalogues of boards and services, the sites.

Everything else in Hearth is derived from here. Belongs here: a fact about a board, an
operating system, a service or a site, and the rules that tell a sound site from a broken
one. Does not belong here: anything that reaches a machine.
"""
