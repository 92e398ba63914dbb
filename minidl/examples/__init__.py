"""Examples of everything public, as `help` shows them and the tests run them."""
