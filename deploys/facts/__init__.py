"""What pyinfra can ask a machine: facts of our own, one small file a subject.

Each fact is one shell command that any board's vendor image can run, Python or not, and a
pure `process` that reads what came back.
"""
