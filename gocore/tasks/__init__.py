"""The tasks a lab can start: `python -m gocore.tasks NAME`. Importing this imports nothing heavy."""
