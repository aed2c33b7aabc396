"""The networks, behind two small protocols; see `gpu_worker.backends.base`."""
