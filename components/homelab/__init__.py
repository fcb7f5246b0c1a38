"""The homelab's tiers, one file a tier, and the service that all of them are made of."""
