"""`python -m flows` is `cicatrix`."""

import sys

from flows.cli import main

sys.exit(main())
