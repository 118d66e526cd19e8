"""Convert a trained model to PyTorch, train it further with a larger batch, in one or more processes, and convert it back.

    pip install 'microgpt-cython[torch]'
    microgpt train names --val-fraction 0.1 --out names.safetensors
    python examples/torch_training.py names.safetensors names --out better.safetensors
    torchrun --nproc-per-node 2 examples/torch_training.py names.safetensors names --out better.safetensors
    microgpt sample better.safetensors

It holds out the same documents as that `microgpt train`, and prints their loss before and after. Several processes share
each batch and average their gradients (DistributedDataParallel over gloo, on CPUs). Up to rounding, they take the same steps
as one process. They may be on several machines: see the options of torchrun.
"""

import argparse
import math
import os
import random
import sys

import microgpt
from microgpt import EvalConfig, TrainConfig
from microgpt.corpus import documents

try:
    import torch
    import torch.distributed as dist
    from torch.nn.parallel import DistributedDataParallel

    from microgpt.storage.pytorch import cross_entropy, pad
except ImportError as error:
    sys.exit(f"this example needs PyTorch ({error}); install it with: pip install 'microgpt-cython[torch]'")


def held_out_loss(model, corpus):
    """The mean loss of all held-out tokens, by microgpt in float64: what `microgpt train` prints with --eval-docs for all of them."""
    predicted = [corpus.predictions(i, model.config.block_size) for i in range(len(corpus))]
    return math.fsum(n * model.token_loss(tokens) for n, tokens in zip(predicted, corpus)) / sum(predicted)


def train(module, corpus, training, rank, num_processes, report):
    """Train the module in place on this process's share of each batch. report(step, loss): called after each step."""
    network = DistributedDataParallel(module) if num_processes > 1 else module
    optimizer = torch.optim.Adam(module.parameters(), lr=training.learning_rate, betas=(training.beta1, training.beta2))
    for step in range(training.num_steps):
        batch = training.batch(step, len(corpus))[rank::num_processes]
        inputs, targets = pad([corpus[i] for i in batch], module.config.block_size)
        loss = cross_entropy(network(inputs), targets)
        optimizer.zero_grad()
        loss.backward()  # DistributedDataParallel averages the gradients of all processes here
        optimizer.param_groups[0]["lr"] = training.lr(step)
        optimizer.step()
        report(step + 1, loss.detach())


def main():
    args = arguments()
    if args.several:
        dist.init_process_group("gloo")
    rank, num_processes = (dist.get_rank(), dist.get_world_size()) if args.several else (0, 1)
    if args.batch_size % num_processes:
        sys.exit(f"a --batch-size of {args.batch_size} cannot be shared equally among {num_processes} processes")

    def say(text):
        if rank == 0:
            print(text, flush=True)

    model = microgpt.load(args.model)
    docs = microgpt.load_docs(args.data, model.config.documents)
    parts = documents.parts(docs, random.Random(args.seed), model.config, EvalConfig(args.val_fraction))
    corpus, held_out = [part(model.tokenizer) for part in parts]
    training = TrainConfig(args.steps, args.learning_rate, beta1=0.9, batch_size=args.batch_size, schedule="cosine")
    say(f"{model.num_params:,} parameters, {len(corpus):,} documents to train on, {len(held_out):,} held out")
    before = held_out_loss(model, held_out)

    def report(step, loss):
        if step % max(1, training.num_steps // 10) == 0:
            if args.several:  # the sum over all processes
                dist.all_reduce(loss)
            say(f"step {step:5} / {training.num_steps} | loss {loss.item() / num_processes:.4f}")

    module = model.to_torch(getattr(torch, args.dtype))
    train(module, corpus, training, rank, num_processes, report)
    if rank == 0:
        model = microgpt.GPT.from_torch(module)
        say(f"held-out loss {before:.4f} before, {held_out_loss(model, held_out):.4f} after")
        if args.out:
            model.save(args.out)
            say(f"saved {args.out}; write with it: microgpt sample {args.out}")
    if args.several:
        dist.destroy_process_group()


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a model saved by microgpt")
    parser.add_argument("data", help="the training data: a text file, or: names")
    parser.add_argument("--out", help="the file for the trained model")
    parser.add_argument("--steps", type=int, default=2000, help="default: %(default)s")
    parser.add_argument("--batch-size", type=int, default=64, help="documents per step, over all processes; default: %(default)s")
    parser.add_argument("--learning-rate", type=float, default=0.01, help="that of the first step; default: %(default)s")
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float32", help="default: %(default)s")
    parser.add_argument("--val-fraction", type=float, default=0.1, help="fraction to hold out; default: %(default)s")
    parser.add_argument("--seed", type=int, default=42, help="determines the order of the documents; default: %(default)s")
    args = parser.parse_args()
    args.several = "RANK" in os.environ  # set by torchrun
    return args


if __name__ == "__main__":
    try:
        main()
    except (ValueError, OSError) as error:
        sys.exit(f"torch_training.py: {error}")
