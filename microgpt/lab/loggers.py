"""Callbacks that log a run elsewhere: `train(docs, callback=TensorBoard("logs/first"))`.

Each logs the loss, the learning rate and, if measured, the held-out loss and the norm of the gradient. It closes after the run's last
step; use `with` for a run that may end earlier:

    with TensorBoard("logs/first") as log:
        train(docs, callback=log)

Each package is imported only when its class is instantiated.
"""

import time
from dataclasses import asdict

from microgpt.common.extras import require

METRICS = ("loss", "lr", "val_loss", "gradient_norm")  # attributes of a Step


class Logger:
    """The base class of the callbacks. A subclass has `write(step, metrics)`, metrics: name -> float for one step, and `finish()`."""

    finished = False

    def __call__(self, step):
        found = {name: getattr(step, name, None) for name in METRICS}
        self.write(step, {name: value for name, value in found.items() if value is not None})
        if step.run.finished:
            self.close()

    def close(self):
        """Write the remaining data; a second call does nothing."""
        if not self.finished:
            self.finished = True
            self.finish()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()


class TensorBoard(Logger):
    """Logs to the folder `folder`, for `tensorboard --logdir`. Needs the package tensorboard, but neither PyTorch nor TensorFlow."""

    def __init__(self, folder):
        require("tensorboard", "a log for TensorBoard")
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self.writer = EventFileWriter(str(folder))

    def write(self, step, metrics):
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        values = [Summary.Value(tag=name, simple_value=value) for name, value in metrics.items()]
        self.writer.add_event(Event(wall_time=time.time(), step=step.step, summary=Summary(value=values)))

    def finish(self):
        self.writer.close()


class _Service(Logger):
    """A package with the functions init, log and finish, like those of wandb. options: for its init."""

    def __init__(self, **options):
        self.package, self.options, self.begun = require(self.name, f"a log for {self.name}"), options, False

    def write(self, step, metrics):
        if not self.begun:  # here, because the run is not known earlier
            self.begun = True
            run = step.run
            settings = {**asdict(run.model.config), **asdict(run.training), "seed": run.seed, "engine": run.model.engine.name}
            self.package.init(**{"config": settings, **self.options})
        self.package.log(metrics, step=step.step)

    def finish(self):
        if self.begun:
            self.package.finish()


class WandB(_Service):
    """Logs to Weights & Biases. options: those of wandb.init, such as project="names" and mode="offline"."""

    name = "wandb"


class Trackio(_Service):
    """Logs to trackio. options: those of trackio.init; it needs project, such as "names"."""

    name = "trackio"
