"""Load at a stated rate: when requests are due, how they are sent, how long they took."""
