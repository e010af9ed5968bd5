"""The commands, a module for each or for those about one thing; `operations/cli.py` assembles them."""
