"""An account held to what its environment promises; nothing in it is changed."""
