"""The backend for GPUs, in torch; everything but graphs and codecs also runs on a CPU."""
