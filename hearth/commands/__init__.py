"""The subcommands of `hearth`, by subject. They string steps together and tell how it goes.

What they do is elsewhere: in `hearth`'s other modules and in the rooms that those use. What only
some commands need is imported within them, so that `hearth --help` is quick.
"""
