"""The lab notebook: notes, figures and the index, built from accepted results only."""

from lab.notebook.note import Built, build_index, build_note

__all__ = ["Built", "build_index", "build_note"]
