"""The worker: receives jobs, fetches and decodes photos, finds and matches faces, publishes.

Run as `python -m gpu_worker`. torch is imported only below `gpu_worker.backends`.
"""
