"""Real image sets for benchmarks and claims: one reader a set, fetched by package name. See README.md."""
