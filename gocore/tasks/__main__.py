"""python -m gocore.tasks NAME: run one task under the task contract (see harness.py)."""

from __future__ import annotations

import os
import sys

from gocore.tasks.harness import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
