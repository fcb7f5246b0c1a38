"""The command that strings the tools together: shows progress, explains failures, decides nothing.

Whatever it does can be done with the tools themselves: pyinfra, pulumi, ssh.
"""
