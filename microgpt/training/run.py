"""A run: an engine does its steps, held-out documents are measured at intervals, and everything needed to continue can be saved."""

import math
import operator
import random
import time
from array import array
from collections.abc import Callable, Collection, Iterable
from contextlib import contextmanager
from copy import deepcopy
from copyreg import __newobj__  # type: ignore[attr-defined]  # typeshed lacks it
from os import PathLike
from typing import TYPE_CHECKING, Any, NamedTuple

from microgpt import engines, verdict
from microgpt.common import interrupts, renamed
from microgpt.common.words import counted
from microgpt.config import EvalConfig, SampleConfig, TrainConfig
from microgpt.corpus.tokens import Corpus, fingerprint
from microgpt.model import GPT
from microgpt.snapshots import Snapshots
from microgpt.storage import checkpoint
from microgpt.storage.checkpoint import Checkpoint, Progress, Source

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from microgpt.display.explore import Page

PORTION_SECONDS = 0.02  # steps without a callback run in portions of about this length, so that Ctrl-C takes effect between them


class Step(NamedTuple):
    """What a callback is given after each step.

    Attributes:
        step: The number of the step, from 1.
        num_steps: The number of steps in the run.
        loss: The mean loss of this step's documents, in nats per token.
        lr: The learning rate of this step.
        val_loss: The held-out loss, in nats per token, if it was measured after this step.
        gradient_norm: The norm of the gradient of all parameters, before clipping, if it was measured.
        run: The run; `run.model` is the model.
    """

    step: int
    num_steps: int
    loss: float
    lr: float
    val_loss: float | None = None
    gradient_norm: float | None = None
    run: "Run | None" = None


class Run:
    """A training run, as `train` returns it.

    A finished run with a `patience` has the weights of its best held-out loss. Any other run has the weights of its last step and can
    continue.

    Attributes:
        model: The model that is trained.
        corpus: The documents to train on, in their order, as token ids.
        training: The settings of the training.
        rng: The random generator, which sampling continues to use.
        losses: The loss of each step done, in nats per token.
        held_out: The held-out documents, as token ids, or None.
        evaluation: How the held-out loss is measured.
        val_losses: Pairs (step, held-out loss in nats per token).
        seed: The seed of all random numbers.
        long_docs: What happens to a document longer than the block.
        snapshots: Copies of the weights during training, or None.
        extended: Pairs (steps done, settings until then), one for each time the run was resumed with another number of steps.
        seconds: The time of the steps done in this process, in seconds.
        gradient_norms: Step, from 1 -> the norm of its gradient, for the steps at which it was measured.
        drawn: Whether the initial weights were drawn at random, not loaded.
        folder: The folder that `train(run_dir=...)` made, or None.
    """

    losses: list[float]
    val_losses: list[tuple[int, float]]
    extended: list[tuple[int, TrainConfig]]
    snapshots: Snapshots | None
    folder: str | None = None
    long = renamed.attribute("long", "Run")

    def __init__(
        self, model: GPT, corpus: Corpus, training: TrainConfig, rng: random.Random, held_out: Corpus | None = None,
        evaluation: EvalConfig = EvalConfig(), seed: int = 42, long_docs: str = "truncate", snapshots: Snapshots | None = None,
    ) -> None:  # fmt: skip
        self.model, self.corpus, self.training, self.rng = model, corpus, training, rng
        self.held_out, self.evaluation, self.seed, self.long_docs = held_out, evaluation, seed, long_docs
        self.losses, self.val_losses, self.extended, self.snapshots = [], [], [], snapshots
        model.engine.check(corpus, training, snapshots.count if snapshots else 0)
        self.seconds = 0.0  # of the steps done in this process
        self.gradient_norms: dict[int, float] = {}  # step (from 1) -> norm, if measured
        self.drawn = True  # whether its initial weights were drawn, not loaded
        self._best_params: array[float] | None = None  # a copy of those of `best`, if there is a patience
        self._torn = False  # whether it was ended in the middle of a step

    def train(
        self, callback: Callable[[Step], object] | None = None, progress: Callable[[], object] | bool | None = None,
        pause_every: int | None = None, stopped: Collection[Any] = (),
        gradient_norms: bool = False,
    ) -> None:  # fmt: skip
        """Do the remaining steps.

        Other threads may read the model meanwhile. They compute with the weights after some whole step.

        Args:
            callback: A function that is called with a `Step` after each step. If it returns a true value, training ends there.
            progress: True shows a line of progress, as `microgpt train` does on a terminal. A function is called without arguments
                several dozen times per second, after one or more steps, and after each multiple of `pause_every` steps.
            pause_every: See `progress`.
            stopped: A list. Once it is not empty, training ends after the current step, and a measurement of the held-out loss is postponed
                until the run continues.
            gradient_norms: Whether to record the norm of each step's gradient, before clipping, in `gradient_norms`. It changes no bit
                of the training.

        Raises:
            Interrupted: Ctrl-C, or a notebook's "interrupt", ended training after the current step. The run can continue with `train`, and
                `save` saves it. A second Ctrl-C interrupts that step too, after which the run cannot continue; between two steps, it
                interrupts the measurement or the callback, and the run can continue.
            DivergenceError: A loss or a gradient left the range of floats.
            RuntimeError: Another thread trains this model.
        """
        noted = interrupts.Noted([interrupts.CTRL_C], [], [interrupts.PYTHONS])
        try:
            with self.model.engine.access.training(), noted as interrupted, self._shown(progress) as update:
                for val_loss in self._portions(callback is not None, pause_every, lambda: stopped or interrupted, gradient_norms):
                    if update is not None:
                        update()
                    if callback is not None:
                        done = len(self.losses)
                        norm = self.gradient_norms.get(done)
                        if callback(Step(done, self.training.num_steps, self.losses[-1], self.lr(done - 1), val_loss, norm, self)):
                            break
                    if stopped or interrupted:
                        break
        except KeyboardInterrupt:
            if self._torn:
                raise
            raise Interrupted(self) from None
        if interrupted:
            raise Interrupted(self)

    @contextmanager
    def _shown(self, progress):
        """The function to call for the argument `progress` of `train`, or None."""
        if progress is True:
            from microgpt import live

            with live.display(self) as shown:
                yield shown.update
        else:
            yield progress or None

    def _portions(self, one_by_one, pause_every, ended, gradient_norms):
        """Do the remaining steps, as many at a time as take about PORTION_SECONDS, or one by one.

        Yields the held-out loss after each portion, or None if it was not due. ended: tells whether training should end.
        """
        self._evaluate_where_due(ended)  # in case an earlier call was ended during the measurement
        self._take_snapshot_where_due()
        portion = 1
        while not self.finished:
            self._refuse_torn()
            first, started = len(self.losses), time.perf_counter()
            end = self._portion_end(first, portion, pause_every)
            self._steps(first, end, [] if gradient_norms else None)
            seconds = time.perf_counter() - started
            self.seconds += seconds
            self._take_snapshot_where_due()
            if not one_by_one and seconds < PORTION_SECONDS:
                portion *= 2
            yield self._evaluate_where_due(ended)

    def lr(self, step: int) -> float:
        """The learning rate of a step, counted from 0."""
        return next((before.lr(step) for done, before in self.extended if step < done), self.training.lr(step))

    @property
    def memory(self) -> engines.Memory:
        """About how much memory the training takes, in bytes: a `microgpt.engines.Memory`."""
        return self.model.engine.memory(self.corpus, self.training, self.snapshots.count if self.snapshots else 0)

    def tokens_per_step(self) -> float:
        """About how many tokens a step predicts, from the first thousand documents, which are in random order."""
        n = min(1000, len(self.corpus))
        mean = sum(self.corpus.predictions(i, self.model.config.block_size) for i in range(n)) / n
        return mean * self.training.batch_size

    @property
    def diverged(self) -> bool:
        """Whether the losses of the last steps are far worse than those of random guessing."""
        return verdict.diverged(self.losses, self.model.tokenizer.vocab_size)

    @property
    def finished(self) -> bool:
        """Whether no step remains: all are done, or the patience is exhausted."""
        return len(self.losses) >= self.training.num_steps or self.stopped_early

    @property
    def stopped_early(self) -> bool:
        """Whether the last `evaluation.patience` measurements brought no new best held-out loss."""
        patience = self.evaluation.patience
        if patience is None or not self.val_losses:
            return False
        return len(self.val_losses) - 1 - self.val_losses.index(self.best) >= patience

    @property
    def best(self) -> tuple[int, float]:
        """(step, loss) of the lowest held-out loss so far, the first one if several are equal."""
        return min(self.val_losses, key=lambda pair: pair[1])

    def evaluate(self) -> float:
        """Measure the held-out loss now, in nats per token. The run does not change.

        It is the mean over the tokens of the first `measured` held-out documents; or, with `evaluation.val_mean` "documents", the mean of
        their losses, each as `GPT.loss` computes it. The engine "fast" computes it in float32.

        Raises:
            ValueError: No documents are held out.
        """
        if self.held_out is None:
            raise ValueError("no documents are held out to measure on; start the run with a val_fraction, such as 0.1, or with val_docs")
        return self._evaluate(lambda: False)

    def _evaluate(self, ended):
        engine, losses, portion = self.model.engine, [], self.model.engine.batch_size
        while len(losses) < self.measured:
            if ended():
                return None
            which, started = range(len(losses), min(len(losses) + portion, self.measured)), time.perf_counter()
            with engine.access.reading():
                losses += engine.losses(self.held_out, which)
            if time.perf_counter() - started < PORTION_SECONDS:
                portion *= 2
        weights = [1] * len(losses)
        if self.evaluation.val_mean == "tokens":
            weights = [self.held_out.predictions(i, self.model.config.block_size) for i in range(len(losses))]
        return math.fsum(map(operator.mul, losses, weights)) / sum(weights)

    @property
    def measured(self) -> int:
        """The number of held-out documents per measurement: the first ones, the same throughout the run."""
        training = self.extended[0][1] if self.extended else self.training
        return self.evaluation.documents(training, len(self.held_out or ()))

    @property
    def eval_every(self) -> int | None:
        """The number of steps between two measurements; None if nothing is held out."""
        return self.evaluation.every(self.training, self.measured) if self.held_out else None

    def generate(
        self, n: int = 1, temperature: float = SampleConfig.temperature, *,
        prompt: str = "", length: int | None = None, top_k: int | None = None, top_p: float | None = None,
        unique: bool = False, exclude: Iterable[str] = (), echo: Callable[[str], object] | None = None,
    ) -> list[str]:  # fmt: skip
        """Write n new documents with the run's own random generator. After training, they are those that the reference prints.

        Arguments and errors are as for `GPT.generate_from`.
        """
        return self.model.generate_from(
            self.rng, n, temperature,
            prompt=prompt, length=length, top_k=top_k, top_p=top_p, unique=unique, exclude=exclude, echo=echo,
        )  # fmt: skip

    def save(self, path: str | PathLike[str]) -> None:
        """Save the model and everything needed to continue: `train(docs, resume=path)` does the remaining steps, with the same bits.

        The file is replaced whole or not at all.

        Raises:
            OSError: The file cannot be written.
            CheckpointError: A number is not finite.
            RuntimeError: Another thread trains the run; save it in the callback.
        """
        access = self.model.engine.access
        with access.reading():
            checkpoint.write(path, self._checkpoint())

    def save_pretrained(self, folder: str | PathLike[str], *, pytorch: bool = False) -> None:
        """Save the model as a folder in the layout of the Hugging Face Hub, as `GPT.save_pretrained` does. Its card has the run's losses.

        The folder does not hold what is needed to continue the run.
        """
        from microgpt.storage import pretrained

        with self.model.engine.access.reading():
            pretrained.write(folder, self._checkpoint(), pytorch=pytorch)

    def _checkpoint(self):
        """The Checkpoint of the run in its current state; the caller must hold read access to its engine."""
        self._refuse_torn()
        model, access = self.model, self.model.engine.access
        extended = [(done, before.num_steps) for done, before in self.extended]
        access.check_at_rest("save the run")
        m, v = model.engine.moments()
        progress = Progress(
            array("d", self.losses), m, v, self.rng.getstate(), self.val_losses, self._best_params, extended, self.snapshots
        )
        val_fingerprint = None if self.evaluation.val_fraction or not self.held_out else fingerprint(self.held_out)
        source = Source(self.seed, self.long_docs, len(self.corpus), self.fingerprint(), model.engine.name, val_fingerprint)
        return Checkpoint(model.config, model.tokenizer, model.params, self.training, self.evaluation, source, progress)

    def __getstate__(self):
        """The state for pickle: everything needed to continue, with Adam's moments. Raises RuntimeError while another thread trains it."""
        access = self.model.engine.access
        with access.reading():
            access.check_at_rest("copy the run")
            moments = self.model.engine.moments() if self.losses else None  # mutant: copied-moments
            return vars(self) | {"moments": moments}

    def __setstate__(self, state):
        vars(self).update(state)
        moments = vars(self).pop("moments")
        if moments is not None:
            self.model.engine.restore(self.training, *moments, len(self.losses))

    def __copy__(self):
        """A run with its own model, generator and losses."""
        return deepcopy(self)

    def fingerprint(self) -> str:
        """The SHA-256 of all tokens, trained on and held out, as little-endian 32-bit ids."""
        return fingerprint(self.corpus, self.held_out)

    def _portion_end(self, first, portion, pause_every):
        """The step before which to pause: at most `portion` steps later, and not beyond a step after which something is due."""
        end = min(first + portion, self.training.num_steps)
        for every in (pause_every, self.eval_every):
            if every:
                end = min(end, first + every - first % every)
        if self.snapshots:
            end = min(end, self.snapshots.next(first + 1, self.training.num_steps) or end)
        return end

    def _take_snapshot_where_due(self):
        done = len(self.losses)
        if self.snapshots and self.snapshots.next(done, self.training.num_steps) == done:
            self.snapshots.take(done, self.model.params)

    def _steps(self, first, end, norms):
        """Do steps first .. end - 1; norms: None, or a list to which the norms of their gradients are appended."""
        try:
            with self.model.engine.access.changing():
                try:
                    self.model.engine.train(self.corpus, range(first, end), self.training, self.losses, norms)
                finally:
                    self.gradient_norms.update(enumerate(norms or (), first + 1))
        except engines.EngineError:
            raise
        except (ArithmeticError, ValueError) as error:
            raise DivergenceError(self, error) from error
        except BaseException:
            self._torn = len(self.losses) < end
            raise

    def _refuse_torn(self):
        if self._torn:
            raise RuntimeError(
                f"this run was ended in the middle of step {len(self.losses) + 1}, so its weights and Adam's moments belong to "
                "different steps; resume from a file that was saved before"
            )

    def _evaluate_where_due(self, ended):
        """The held-out loss, or None if it is not due. If a measurement is interrupted, the next call repeats it."""
        done, val_loss = len(self.losses), None
        measured = done in (0, *[step for step, _ in self.val_losses[-1:]])
        if self.held_out and not measured and (done % self.eval_every == 0 or done >= self.training.num_steps):
            val_loss = self._evaluate(ended)
            if val_loss is None:
                return None
            if self.evaluation.patience is not None and (not self.val_losses or val_loss < self.best[1]):
                self._best_params = array("d", self.model.params)
            self.val_losses.append((done, val_loss))
        if self._best_params is not None and self.finished:
            with self.model.engine.access.changing():
                self.model.params[:] = self._best_params
        return val_loss

    def __repr__(self) -> str:
        done = f"{len(self.losses):,} of {counted(self.training.num_steps, 'step')}"
        loss = f", loss {self.losses[-1]:.4f}, smoothed {verdict.smoothed(self.losses):.4f}" if self.losses else ""
        held_out = f", held-out {self.val_losses[-1][1]:.4f}" if self.val_losses else ""
        return f"<Run of {done}{loss}{held_out}; {self.model!r}>"

    # ---- In a notebook: see docs/notebooks.md -----------------------------------------------------------------------

    def plot(self) -> "Figure":
        """A matplotlib figure of the losses, which a notebook shows; its `savefig(path)` writes it.

        Raises:
            ImportError: matplotlib is not installed.
            ValueError: No step was done.
        """
        from microgpt.display import plot

        return plot.of_run(self)

    def explore(self, name: str = "", docs: Iterable[str] | None = None) -> "Page":
        """The page of `microgpt explore`, like that of `GPT.explore`, but with the run's losses and snapshots.

        Raises:
            ValueError: The page cannot compute the activation, or a loss is not finite.
        """
        from microgpt.display import explore

        step = self.best[0] if self._best_params is not None and self.finished else None  # the step whose weights the model has
        return explore.Page(
            self.model, name,
            losses=self.losses, val_losses=self.val_losses, training=self.training, snapshots=self.snapshots, step=step, docs=docs,
        )  # fmt: skip

    def _repr_html_(self):
        from microgpt.display import cards

        return cards.of_run(self)


def _reduce(error):
    """Pickles errors that are made from a run, for example when another process sends them."""
    return __newobj__, (type(error), *error.args), vars(error)


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, or a notebook's "interrupt", ended training after a step.

    Attributes:
        run: The run, which can continue.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        done = f"after step {len(run.losses)} of {run.training.num_steps}"
        super().__init__(
            f"interrupted {done}; get the run back with `import sys; run = sys.last_value.run`, then continue with run.train() "
            "or save it with run.save(path)"
        )

    __reduce__ = _reduce


class TrainingWarning(UserWarning):
    """Training ended without an error, but the model is useless. The message says why and what to do."""


class DivergenceError(ValueError):
    """Training cannot continue because a number left the range of floats.

    Attributes:
        step: The number of the step that failed, from 1.
        losses: The losses of the steps before it.
    """

    def __init__(self, run: Run, cause: object) -> None:
        self.step, self.losses = len(run.losses) + 1, run.losses
        super().__init__(f"training diverged at step {self.step} of {run.training.num_steps}: {cause}; " + verdict.remedy(run, self.step))

    __reduce__ = _reduce
