"""What one accelerator does with this library, measured section by section in one call.

Each section runs in a process of its own: one that runs out of memory or crashes ends no other, and
what it held is its own. See `docs/benchmarks.md`.
"""
