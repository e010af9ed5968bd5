"""Every promise broken once, on purpose, to see that a test notices: `make test-mutants`."""
