"""The provider, asked as the engine asks it; ssh leads to a shell in a folder of the test."""
