"""``python -m eureka_nlg``: the command ``eureka``."""

import sys

from eureka_nlg.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
