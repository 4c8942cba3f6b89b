"""One contestant in a process of its own: a line of texts' tokens in, a line of seconds and outputs out.

``python -m scripts.benches.encoders.worker KIND MODEL POOLING THREADS``, in whichever environment has what the kind needs.
"""

import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

CLS, SEP = 101, 102
"""BERT's special tokens, which our encoder puts around a text itself."""
WINDOW = 128
_Run = Callable[[Sequence[int]], Any]


def contestant(kind: str, model: str, pooling: str, threads: int) -> _Run:
    """Load a model; return what makes of a text's tokens, without special ones, scores or vectors."""
    if kind == "ours":
        from smallmesh.hosting.llama import Encoder  # noqa: PLC0415 - not in the rivals' environment

        encoder = Encoder(Path(model), pooling=pooling, n_threads=threads, window=WINDOW)  # type: ignore[arg-type]
        return {"rank": encoder.scores, "none": encoder.vectors, "mean": encoder.vector}[pooling]
    from scripts.benches.encoders import weights  # noqa: PLC0415 - needs gguf, which we do not

    if kind.startswith("torch"):
        from scripts.benches.encoders.torch_bert import runner  # noqa: PLC0415 - not everybody has torch
    else:
        from scripts.benches.encoders.onnx_bert import runner  # noqa: PLC0415 - not everybody has onnxruntime
    run = runner(weights.read(model), pooling, int8=kind.endswith("int8"))
    return lambda tokens: run([CLS, *tokens, SEP])


def _timed(run: _Run, texts: Sequence[Sequence[int]], clock: Callable[[], float]) -> dict[str, list[Any]]:
    seconds, outputs = [], []
    for tokens in texts:
        began = clock()
        output = run(tokens)
        seconds.append(clock() - began)
        outputs.append(np.ravel(output).tolist())
    return {"seconds": seconds, "outputs": outputs}


def main() -> None:
    """Serve until the input ends."""
    kind, model, pooling, threads = sys.argv[1:]
    run = contestant(kind, model, pooling, int(threads))
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        clock = time.perf_counter if asked["wall"] else time.process_time
        print(json.dumps(_timed(run, asked["texts"], clock)), flush=True)


if __name__ == "__main__":
    main()
