"""What others have released: read without running it, and put where this library expects it."""
