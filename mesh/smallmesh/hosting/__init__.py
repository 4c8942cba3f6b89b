"""Models in this process: their files, their windows, their threads, what is read from their outputs."""

import os

# Read when the libraries load, so they stand before anything here imports one. Spinning OpenMP threads of two processes
# on two cores cost up to 80 times a text's time; threads that never spin make a token of a model with two threads take
# twice as long, for they meet hundreds of times in it. So they wait for some microseconds and then sleep. OpenBLAS takes
# every core for a matrix of a few words, which doubled the processor time of a tagged sentence.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
