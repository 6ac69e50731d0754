"""Entry point of `python -m training.evaluate`."""

import sys

from training.evaluate.measure import main

if __name__ == "__main__":
    sys.exit(main())
