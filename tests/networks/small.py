"""A small network of every kind, by what it is called in tests."""

from diffusion_jax.networks import networks
from diffusion_jax.registry import settings_of

TEXT = "transformer(width=8, layers=1, heads=2)"
UNET2D = "block_out_channels=(8, 16), layers_per_block=1, norm_num_groups=4, dropout=0.5"
REDUCED = {
    "unet": "unet(channels=(8, 16), blocks=1, head_width=8, dropout=0.5)",
    "dit": "dit(patch=2, width=16, depth=2, heads=2, dropout=0.5)",
    "dit_joint": "dit(patch=2, width=16, depth=2, heads=2, text='joint', dropout=0.5)",
    "mlp": "mlp(width=16, depth=2, dropout=0.5)",
    "original_dit": "original_dit(hidden_size=16, depth=2, num_heads=2)",
    "diffusers_dit": "diffusers_dit(num_attention_heads=2, attention_head_dim=8, num_layers=2, "
    "dropout=0.5)",
    "pixart": "pixart(num_attention_heads=2, attention_head_dim=8, num_layers=2, sample_size=8, "
    "caption_channels=8, dropout=0.5)",
    "song_unet": "song_unet(model_channels=8, channel_mult=(1, 2), num_blocks=1, "
    "img_resolution=8, attn_resolutions=(4,), dropout=0.5)",
    "song_unet_ncsnpp": "song_unet(model_channels=8, channel_mult=(1, 2), num_blocks=1, "
    "img_resolution=8, embedding_type=fourier, encoder_type=residual, decoder_type=skip, "
    "channel_mult_noise=2, resample_filter=(1.0, 3.0, 3.0, 1.0), dropout=0.5)",
    "dhariwal_unet": "dhariwal_unet(model_channels=8, channel_mult=(1, 2), num_blocks=1, "
    "img_resolution=8, attn_resolutions=(4,), channels_per_head=8, dropout=0.5)",
    "jit": "jit(patch_size=2, hidden_size=16, depth=4, num_heads=2, bottleneck_dim=6, "
    "in_context_len=2, in_context_start=1, proj_drop=0.5)",
    "prx": "prx(hidden_size=16, num_heads=2, depth=2, axes_dim=(4, 4), bottleneck_size=8, "
    "resolution_embeds=True)",
    "sd3": "sd3(num_attention_heads=2, attention_head_dim=8, num_layers=2, sample_size=8, "
    "pos_embed_max_size=16, dual_attention_layers=(0,), qk_norm='rms_norm')",
    "flux": "flux(num_attention_heads=2, attention_head_dim=8, num_layers=1, "
    "num_single_layers=1, axes_dims_rope=(2, 2, 4))",
    "guided_unet": "guided_unet(model_channels=64, channel_mult=(1, 1), num_res_blocks=1, "
    "attention_resolutions=(2,), num_head_channels=16, dropout=0.5)",
    "guided_unet_updown": "guided_unet(model_channels=64, channel_mult=(1, 1), num_res_blocks=1, "
    "attention_resolutions=(2,), use_scale_shift_norm=True, resblock_updown=True, num_heads=2, "
    "use_new_attention_order=True, dropout=0.5)",
    "vdm_unet": "vdm_unet(sm_n_embd=64, sm_n_layer=1, sm_pdrop=0.5)",
    "edm2_unet": "edm2_unet(model_channels=8, channel_mult=(1, 2), num_blocks=1, "
    "img_resolution=8, attn_resolutions=(4,), channels_per_head=8, dropout=0.5)",
    "sit": "sit(hidden_size=16, depth=2, num_heads=2, learn_sigma=False)",
    "unet2d": f"unet2d({UNET2D}, down_block_types=('DownBlock2D', 'AttnDownBlock2D'), "
    "up_block_types=('AttnUpBlock2D', 'UpBlock2D'), attention_head_dim=4, num_class_embeds=8)",
    "unet2d_condition": f"unet2d_condition({UNET2D}, cross_attention_dim=8, attention_head_dim=2, "
    "down_block_types=('CrossAttnDownBlock2D', 'DownBlock2D'), "
    "up_block_types=('UpBlock2D', 'CrossAttnUpBlock2D'))",
}
# Those that are not named here are made as they are.
OTHERS = {
    name: f"{name}(dropout=0.5)" if "dropout" in settings_of(networks[name]) else name
    for name in networks
    if not any(spec.startswith(f"{name}(") for spec in REDUCED.values())
    # Other tests may have registered networks of their own by now, and released ones are files.
    and networks[name].__module__.startswith("diffusion_jax.networks.")
}
SMALL = REDUCED | OTHERS
