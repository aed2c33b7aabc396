"""The worker: receives jobs, fetches and decodes photos, finds and matches faces, publishes.

Run as `python -m gpu_worker`. torch is imported only below `gpu_worker.backends`.
"""

import os

_threads = os.environ.get("WORKER_THREADS", "")
if _threads.isdigit() and _threads != "0":
    # numpy's matrix products would take a thread for each core in each of a machine's
    # workers, which then wait for each other. Read when numpy is imported, so set before.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", _threads)
