"""The command line. Each command parses, makes one library call and prints."""
