"""One thing outside the program per file."""
