"""Benchmarks: every figure beside a named alternative measured in the same run."""
