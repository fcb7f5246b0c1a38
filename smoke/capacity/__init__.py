"""What a lab can hold: loads up to its knee, a queueing model of them, and its test."""
