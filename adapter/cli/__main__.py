"""`python -m adapter.cli`."""

from adapter.cli import main

main()
