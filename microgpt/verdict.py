"""What the losses of a run say: how far it is, whether it diverged or learned nothing, and what to do then."""

import math

from microgpt.common.words import counted
from microgpt.config import TrainConfig

SMOOTHED_STEPS = 100
FEWEST = 10  # steps that tell whether a run diverged: the first ones may lead up before they lead down
FAR = 1.5  # times the loss of guessing and that of the first step: worse than any model that has not begun to learn


def smoothed(losses, step=None):
    """The mean loss of the SMOOTHED_STEPS steps that end with `step` (counted from 1; None: the last step)."""
    step = len(losses) if step is None else step
    recent = losses[max(0, step - SMOOTHED_STEPS) : step]
    return math.fsum(recent) / len(recent)


def diverged(losses, vocab_size):
    """Whether FEWEST steps or more made the model far worse: its smoothed loss is over FAR times that of guessing, which is
    ln(vocab_size), and over FAR times its first step's."""
    return len(losses) >= FEWEST and smoothed(losses) > FAR * max(math.log(vocab_size), losses[0])


def complaint(losses, vocab_size, entropy=None):
    """A sentence about a model that has diverged or learned too little to be worth reading, from its losses; else None.

    entropy: of the training documents' characters, in nats a token; a model with a higher loss has not even learned how
    frequent they are. None, or 0, which no loss can be below: that of guessing, ln(vocab_size).
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
    """A sentence about a Run that has diverged, and what to do about it."""
    return f"{complaint(run.losses, run.model.tokenizer.vocab_size)}; {remedy(run, len(run.losses) + 1)}"


def remedy(run, step):
    """What is most likely at fault where a Run diverges at a step (from 1), and what to do about it."""
    training = run.training
    rate, decay, beta1, beta2 = training.learning_rate, training.weight_decay, training.beta1, training.beta2
    if rate > 1:
        usual = TrainConfig.learning_rate
        return f"learning_rate {rate:g} is far too large, as Adam moves each weight by about so much in a step; try {usual:g}"
    if rate * decay > 1:
        return f"weight_decay {decay:g} takes {rate * decay:g} times each weight away in a step; try one below {1 / rate:g}"
    if step == 1 or run.drawn and run.model.config.init_std > 1:
        advice = "try a smaller init_std" if run.drawn else "start from another model"
        return f"the weights it starts from are too large; {advice}"
    if beta1**2 > beta2:  # a mean that remembers large gradients, divided by one that has forgotten them
        return f"Adam's steps grow without bound where beta2 is below the square of beta1; try a beta2 above {beta1**2:.3g}"
    return f"try a learning_rate below {rate:g}" + (" or a smaller init_std" if run.drawn else "")
