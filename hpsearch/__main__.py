"""``python -m hpsearch`` is ``hpsearch``."""

from hpsearch.cli.main import main

if __name__ == "__main__":
    main()
