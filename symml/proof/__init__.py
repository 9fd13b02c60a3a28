"""The numeric proof beside every formula; the tests use the same oracles."""
