"""What a cloud environment consists of: typed settings, the instance types that it may name."""
