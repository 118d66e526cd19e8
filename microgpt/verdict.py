"""Judges the losses of a run: whether it diverged or learned nothing, and what to do then."""

import math

from microgpt.common.words import counted
from microgpt.config import TrainConfig

SMOOTHED_STEPS = 100
FEWEST = 10  # steps needed to tell whether a run diverged: the loss may rise at first before it falls
FAR = 1.5  # factor above the loss of guessing and above that of the first step: worse than any untrained model


def smoothed(losses, step=None):
    """The mean loss of the SMOOTHED_STEPS steps up to `step` (counted from 1; None: the last step)."""
    step = len(losses) if step is None else step
    recent = losses[max(0, step - SMOOTHED_STEPS) : step]
    return math.fsum(recent) / len(recent)


def diverged(losses, vocab_size):
    """Whether at least FEWEST steps made the model far worse: its smoothed loss is more than FAR times the loss of guessing, which
    is ln(vocab_size), and more than FAR times the loss of its first step."""
    return len(losses) >= FEWEST and smoothed(losses) > FAR * max(math.log(vocab_size), losses[0])


def complaint(losses, vocab_size, entropy=None):
    """A sentence about a model that has diverged or learned almost nothing, judged by its losses; otherwise None.

    entropy: that of the characters of the training documents, in nats per token; a model with a higher loss has not even
    learned their frequencies. None, or 0, which no loss can be below: ln(vocab_size), that of guessing.
    """
    if not len(losses):
        return "the model is untrained, so its samples are random"
    loss, steps = smoothed(losses), counted(min(SMOOTHED_STEPS, len(losses)), "step")
    guessing = math.log(vocab_size)
    if diverged(losses, vocab_size):
        return f"training diverged: the mean loss of the last {steps} is {loss:.4g}, and guessing at random has {guessing:.4g}"
    if loss <= (entropy or guessing):
        return None
    known = f"guessing at random has {guessing:.4g}"
    if entropy:
        known = f"the frequencies of the characters alone give {entropy:.4g}"
    return f"the model has hardly learned anything: the mean loss of the last {steps} is {loss:.4g}, and {known}"


def divergence(run):
    """A sentence about a Run that has diverged, with a remedy."""
    return f"{complaint(run.losses, run.model.tokenizer.vocab_size)}; {remedy(run, len(run.losses) + 1)}"


def remedy(run, step):
    """The most likely reason why a Run diverges at a step (from 1), and a remedy."""
    training = run.training
    rate, decay, beta1, beta2 = training.learning_rate, training.weight_decay, training.beta1, training.beta2
    if rate > 1:
        usual = TrainConfig.learning_rate
        return f"learning_rate {rate:g} is far too large, because Adam moves each weight by about that much in a step; try {usual:g}"
    if rate * decay > 1:
        return f"weight_decay {decay:g} subtracts {rate * decay:g} times each weight in a step; try one below {1 / rate:g}"
    if step == 1 or run.drawn and run.model.config.init_std > 1:
        advice = "try a smaller init_std" if run.drawn else "start from another model"
        return f"the initial weights are too large; {advice}"
    if beta1**2 > beta2:  # the first moment remembers large gradients longer than the second, by whose root it is divided
        return f"Adam's steps can grow without bound if beta2 is below the square of beta1; try a beta2 above {beta1**2:.3g}"
    return f"try a learning_rate below {rate:g}" + (" or a smaller init_std" if run.drawn else "")
