"""python -m cryobench: the same as the command cryobench."""

import sys

from cryobench.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
