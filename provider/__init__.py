"""A Pulumi provider of Hearth's own, for what the published ones cannot do.

Files on a machine that its services read anew without a restart, and scripts that run where the
data is. The engine starts it by the `plugins` of Pulumi.yaml. It knows machines by their ssh names
and nothing of sites; `components` declares its resources through `provider.resources`.
"""
