"""What holds for every test: no network, no telemetry, one thread.

The environment is set here, before any test module imports torch, FAISS or Gradio, which read it once on import.
"""

from __future__ import annotations

import os

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["CUDA_VISIBLE_DEVICES"] = ""  # the same numbers on every machine
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
for threads in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(threads, "1")  # small models on few cores: more threads only wait for each other
