"""Reading captioned pictures, timed beside PyTorch's loader with webdataset."""
