"""Holds a node's pods to network policies: what Kubernetes' API tells becomes rules of nftables.

It runs on each node beside the kubelet, by the node's own Python: the standard library is all it
has. The rules stay in the kernel when it ends.
"""
