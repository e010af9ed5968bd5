"""What every test is run with. Nothing reaches the internet, AWS or, unless asked with `--stripe-sandbox`, Stripe."""

pytest_plugins = ["tests.support.run", "tests.support.fixtures"]
