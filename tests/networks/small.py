"""A small network of every kind, by what it is called in tests."""

TEXT = "transformer(width=8, layers=1, heads=2)"
SMALL = {
    "unet": "unet(channels=(8, 16), blocks=1, head_width=8, dropout=0.5)",
    "dit": "dit(patch=2, width=16, depth=2, heads=2, dropout=0.5)",
    "dit_joint": "dit(patch=2, width=16, depth=2, heads=2, text='joint', dropout=0.5)",
    "mlp": "mlp(width=16, depth=2, dropout=0.5)",
    "original_dit": "original_dit(hidden_size=16, depth=2, num_heads=2)",
    "sit": "sit(hidden_size=16, depth=2, num_heads=2, learn_sigma=False)",
}
