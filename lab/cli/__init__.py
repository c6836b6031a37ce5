"""The command line: one file per noun, each with `register(subparsers)`; heavy imports happen inside the commands."""
