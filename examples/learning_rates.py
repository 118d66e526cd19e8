"""A sweep over learning rates on all cores: which one gives the lowest loss on held-out names?

    python examples/learning_rates.py [STEPS [DATA]]

What you learn: train() releases Python's global lock, so threads are enough to keep every core busy; each run is the same, bit
for bit, as if it ran alone; and runs are compared by the held-out loss, not by the loss of the last step.
"""

import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import microgpt
from microgpt import DivergenceError, EvalConfig, GPTConfig, TrainConfig

num_steps = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
docs = microgpt.load_docs(sys.argv[2] if len(sys.argv) > 2 else "names")
rates = [0.0003, 0.001, 0.003, 0.01, 0.03, 0.1]


def try_out(rate):
    """The held-out loss after training with a learning rate, or None if training diverges; and the seconds it took."""
    started = time.perf_counter()
    training = TrainConfig(num_steps=num_steps, learning_rate=rate)
    try:
        run = microgpt.train(docs, GPTConfig(), training, evaluation=EvalConfig(0.1, eval_every=max(1, num_steps)))
        loss = run.val_losses[-1][1]
    except DivergenceError:
        loss = None
    return loss, time.perf_counter() - started


started = time.perf_counter()
with ThreadPoolExecutor(os.cpu_count()) as threads:
    results = dict(zip(rates, threads.map(try_out, rates)))
passed = time.perf_counter() - started

best = min((rate for rate in rates if results[rate][0] is not None), key=lambda rate: results[rate][0])
print(f"{num_steps} steps on {len(docs)} documents, a tenth of them held out\n")
print("learning rate  held-out loss  seconds")
for rate, (loss, seconds) in results.items():
    shown = "diverged" if loss is None else f"{loss:.4f}"
    print(f"{rate:13g}  {shown:>13}  {seconds:7.2f}{' best' * (rate == best)}")
together = sum(seconds for _, seconds in results.values())
print(f"\n{passed:.2f} s with {os.cpu_count()} threads, for runs of {together:.2f} s")
