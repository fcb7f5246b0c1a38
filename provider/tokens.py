"""What the engine calls the provider's package and resources."""

PACKAGE = "hearth"
FILES, SCRIPT = "hearth:host:Files", "hearth:host:Script"
