"""The sandbox: a site's machines, bare, on one Linux computer."""
