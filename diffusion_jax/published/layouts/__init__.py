"""Models in one file: which of its tensors each of diffusers' is.

Authors, and most who fine-tune their models, put U-Net or transformer, autoencoder and text
encoders into one file, with names of their own. A layout here is a function from diffusers' name of
a tensor to its `Origin` in such a file.
"""
