"""Failover drills: something is broken under load, and the lab is held to what it promises."""
