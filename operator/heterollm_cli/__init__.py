"""The `heterollm` command line: one file a command."""
