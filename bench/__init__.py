"""Benchmarks of the search: `make bench-search` and `make bench-predictor`. They use the product and are no part of it."""
