"""``python -m kvopt`` is the command ``kvopt``."""

from kvopt.cli import main

if __name__ == "__main__":
    main()
