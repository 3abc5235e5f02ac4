"""``python -m foretell``, and ``torchrun -m foretell``."""

import sys

from foretell.cli import main

sys.exit(main())
