"""What the losses of a run say: smoothed, as a file, and in a few sentences at the end."""

import json
import math

SMOOTHED_STEPS = 100
FORMATS = (".csv", ".jsonl")


def smoothed(losses, step=None):
    """The mean loss of the last SMOOTHED_STEPS steps up to `step` (from 1; None: the last)."""
    step = len(losses) if step is None else step
    recent = losses[max(0, step - SMOOTHED_STEPS) : step]
    return math.fsum(recent) / len(recent)


class Log:
    """A file with a line for each step: step, loss, smoothed loss, learning rate, held-out loss where it was evaluated.

    A resumed run writes the lines of its earlier steps again, so the file is that of an uninterrupted run. path: ends in .csv or
    .jsonl. OSError where it cannot be written.
    """

    def __init__(self, run, path):
        self.run, self.written, self.csv = run, 0, path.endswith(".csv")
        self.file = open(path, "w", encoding="utf-8", newline="\n")
        if self.csv:
            self.file.write("step,loss,smoothed,lr,val_loss\n")
        self.update()

    def update(self):
        """Write the steps since the last call."""
        losses, training = self.run.losses, self.run.training
        first, self.written = self.written, len(losses)
        evaluated = {step: loss for step, loss in self.run.val_losses if step > first}
        for step in range(first + 1, self.written + 1):
            row = {"step": step, "loss": losses[step - 1], "smoothed": smoothed(losses, step), "lr": training.lr(step - 1)}
            val_loss = evaluated.get(step)
            if self.csv:
                self.file.write(",".join(map(repr, row.values())) + ("," if val_loss is None else f",{val_loss!r}") + "\n")
            else:
                self.file.write(json.dumps(row if val_loss is None else row | {"val_loss": val_loss}) + "\n")
        self.file.flush()

    def close(self):
        self.file.close()


def summary(run):
    """A few sentences about the losses of a Run, a list of lines."""
    if not run.losses:
        return []
    vocab_size, losses = run.model.tokenizer.vocab_size, run.losses
    count = min(SMOOTHED_STEPS, len(losses))
    batch = run.training.batch_size
    each = "a single document's" if batch == 1 else f"that of {batch} documents"
    lines = [
        f"loss {smoothed(losses):.4f}, the mean of the last {count} steps (the last step's own, {each}: {losses[-1]:.4f}); "
        f"guessing at random has ln({vocab_size}) = {math.log(vocab_size):.4f}"
    ]
    if run.val_losses:
        step, loss = run.val_losses[-1]
        known = {tuple(document) for document in run.corpus}
        repeated = sum(tuple(document) in known for document in run.held_out) / len(run.held_out)
        lines.append(
            f"held-out loss {loss:.4f} after step {step}, on {len(run.held_out)} documents that were not trained on "
            f"({repeated:.0%} of them occur in the training data as well); the best was {run.best[1]:.4f} after step {run.best[0]}"
        )
    if run.stopped_early:
        lines.append(f"stopped early: no better held-out loss in {run.evaluation.patience} evaluations")
    return lines
