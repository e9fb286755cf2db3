"""`python3 -m devcluster`: see cli.py."""

import sys

from devcluster.cli import main

if __name__ == "__main__":
    sys.exit(main())
