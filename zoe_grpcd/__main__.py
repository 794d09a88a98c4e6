"""`python -m zoe_grpcd` is `zoe-grpcd`."""

import sys

from zoe_grpcd.cli import main

sys.exit(main())
