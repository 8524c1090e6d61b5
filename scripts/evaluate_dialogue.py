"""Score dialogue replies as in Table 4 of the Eureka paper: `eureka evaluate`, as a script.

python scripts/evaluate_dialogue.py --hypotheses replies.txt --references test.txt --json scores.json
"""

from __future__ import annotations

import sys

from eureka_nlg.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["evaluate", *sys.argv[1:]]))
