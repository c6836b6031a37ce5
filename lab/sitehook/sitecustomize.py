"""Python runs this at the start of a task with a code snapshot: drop the import hooks of editable installs.

Such a hook (scikit-build-core and setuptools make them) finds its packages before PYTHONPATH is asked, so a task would
run the edited working tree instead of the code that was frozen at submit.
"""

import sys


def is_editable_hook(finder: object) -> bool:
    """Whether a finder on sys.meta_path belongs to an editable install."""
    module = getattr(finder, "__module__", None) or type(finder).__module__
    return str(module).startswith(("_editable_", "__editable__"))


sys.meta_path[:] = [finder for finder in sys.meta_path if not is_editable_hook(finder)]
