r"""Names of another language: a model of Greek first names, as an example of training on your own data.

    python examples/greek_names.py [STEPS]

What you learn: any characters work, and each line is a document; check whether the block is long enough; hold documents out
to see when the model has memorized a small list, and stop there; and ask for names that are not in the list. On the command line:

    microgpt inspect examples/greek_names.txt
    microgpt train examples/greek_names.txt --steps 3000 --batch-size 8 --block-size 14 --val-fraction 0.1 \
        --eval-every 50 --patience 5 --out greek.safetensors
    microgpt sample greek.safetensors --novel examples/greek_names.txt --prompt αν
"""

import math
import sys
from pathlib import Path

import microgpt
from microgpt import EvalConfig, GPTConfig, TrainConfig

num_steps = int(sys.argv[1]) if len(sys.argv) > 1 else 3000
names = microgpt.load_docs(Path(__file__).with_name("greek_names.txt"))
longest = max(names, key=len)
print(f"{len(names)} names; the longest, {longest}, has {len(longest)} letters")

# A name of n letters takes n + 1 tokens: its end is learned too
config = GPTConfig(block_size=len(longest) + 1)
training = TrainConfig(num_steps=num_steps, batch_size=8)
run = microgpt.train(names, config, training, evaluation=EvalConfig(val_fraction=0.1, eval_every=50, patience=5))

print(f"{run.model.tokenizer.vocab_size - 1} letters: {run.model.tokenizer.chars}")
print(f"guessing at random has a loss of {math.log(run.model.tokenizer.vocab_size):.2f} nats per letter")
for step, loss in run.val_losses:
    print(f"step {step:4d}: {loss:.4f} on the held-out names")
print(f"trained for {len(run.losses)} steps; the model is the one of step {run.best[0]}, the best on these names")

options = dict(temperature=0.8, seed=1, unique=True, exclude=names)
print("new names:", ", ".join(run.model.generate(10, **options)))
print("with αν:", ", ".join(run.model.generate(5, prompt="αν", **options)))
for name in ("μαρία", "μαρκα", "κκκκκ"):
    print(f"{name}: a loss of {run.model.loss(name):.2f} nats per letter")
