"""``python -m cgcore``: the command line over the same core."""

from cgcore.cli import main

if __name__ == "__main__":
    main()
