"""Programs of our own that the lab runs, a package each.

Belongs here: a program that is deployed as a container and serves the lab's users, with its
database migrations beside it. It is told where everything is by one settings file and knows no
site: it imports nothing of the other rooms, and nothing of them imports it.
"""
