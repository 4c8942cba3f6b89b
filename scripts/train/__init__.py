"""Training and export of the shipped models: one command a model, the data folder as an argument."""

import os

# On a shared machine two OpenMP threads that spin for each other lose most of their time; read when torch loads.
os.environ.setdefault("GOMP_SPINCOUNT", "20000")
