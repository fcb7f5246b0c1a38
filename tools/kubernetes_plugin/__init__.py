"""A Pulumi plugin for Kubernetes, in place of the official one where that is not to be had.

It takes the official SDK's programs and keeps state in the official plugin's form, so that either
can go on with what the other has made. It asks the API server for everything and imports nothing
of Pulumi's SDK but its messages: the engine starts it at every run.

    values      Pulumi's values and plain ones
    kinds       what a type token stands for, and what is refused
    kubeconfig  which server, and as whom
    api         HTTPS to the server, its errors, its kinds
    objects     names, secrets, the form of the state
    fields      whose a field is, and what has drifted
    diffs       what a change changes, and what it replaces
    readiness   whether an object does its work yet
    pods        why one does not
    waiting     until it does, or is gone
    plugin      what the engine asks for
    server      how it asks
"""
