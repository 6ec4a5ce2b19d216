"""LoRA files: low-rank terms for released models, in the conventions that there are."""
