"""Training: one random generator shuffles the documents, draws the weights and later samples; an engine does the steps."""

import math
import random
import sys
import time
from array import array
from typing import NamedTuple

from microgpt import engines
from microgpt.common.options import Option
from microgpt.common.words import counted, quoted, quoted_path, shortened
from microgpt.config import EvalConfig, GPTConfig, TrainConfig
from microgpt.corpus import documents
from microgpt.corpus.documents import LONG
from microgpt.corpus.tokens import Corpus
from microgpt.model import GPT
from microgpt.storage import checkpoint
from microgpt.storage.checkpoint import Checkpoint, CheckpointError, Progress, Source
from microgpt.tokenizer import Tokenizer

PORTION_SECONDS = 0.02  # steps without a callback run in portions about this long, so that Ctrl-C is heard between them
SEED = Option("seed", int, 42, "seed of all random numbers", digits=1000)


class Step(NamedTuple):
    """What a callback is told after each step."""

    step: int  # from 1
    num_steps: int
    loss: float  # of this step's documents, in nats a token
    lr: float  # the learning rate this step used
    val_loss: float | None = None  # of the documents held out, where they were evaluated after this step


class Run:
    """A training run, made by `start` and done by its `train`.

    model: GPT; corpus: Corpus, the documents in training order; training: TrainConfig; rng: random.Random, which
    sampling goes on with; losses: list of floats, one for each step done; held_out: Corpus of the documents held out,
    or None; evaluation: EvalConfig; val_losses: list of (step, held-out loss).

    A finished run with patience has the weights of its best held-out loss; any other those of its last step, from which
    it can go on.
    """

    def __init__(
        self, model, corpus, training, rng, held_out=None, evaluation=EvalConfig(), seed=SEED.default, long=LONG.default
    ):
        self.model, self.corpus, self.training, self.rng = model, corpus, training, rng
        self.held_out, self.evaluation, self.seed, self.long = held_out, evaluation, seed, long
        self.losses, self.val_losses = [], []
        model.engine.check(corpus, training)
        self.drawn = True  # whether its first weights were, or loaded
        self._best_params = None  # those of `best`, a copy, where there is patience

    def train(self, callback=None, progress=None, pause_every=None):
        """Do the steps that are left. callback: as for the function `train`, called after every step.

        progress: called without arguments some dozen times a second, after one step or many, and after each multiple of
        pause_every steps; it finds them in `losses`. A true return value ends the run there.
        """
        portion = 1
        while not self.finished:
            first = len(self.losses)
            started = time.perf_counter()
            self._steps(first, self._portion_end(first, portion, pause_every))
            if callback is None and time.perf_counter() - started < PORTION_SECONDS:
                portion *= 2
            val_loss = self._evaluate_where_due()
            if progress is not None and progress():
                return
            if callback is not None:
                done, training = len(self.losses), self.training
                if callback(Step(done, training.num_steps, self.losses[-1], training.lr(done - 1), val_loss)):
                    return

    @property
    def finished(self):
        """Whether there is no step left: all are done, or the patience is at its end."""
        return len(self.losses) >= self.training.num_steps or self.stopped_early

    @property
    def stopped_early(self):
        """Whether the held-out loss had no new best for `patience` evaluations."""
        patience = self.evaluation.patience
        if patience is None or not self.val_losses:
            return False
        return len(self.val_losses) - 1 - self.val_losses.index(self.best) >= patience

    @property
    def best(self):
        """(step, loss) of the lowest held-out loss so far, the first of equals."""
        return min(self.val_losses, key=lambda pair: pair[1])

    def evaluate(self):
        """The mean loss of the documents held out, each as GPT.loss has it; changes nothing."""
        return math.fsum(self.model.token_loss(doc) for doc in self.held_out) / len(self.held_out)

    def generate(self, n=1, temperature=0.5, **options):
        """n new documents, drawn from the run's own random generator: after training, those the reference prints.

        options: prompt, top_k, top_p, unique, exclude, as for GPT.generate.
        """
        return self.model.generate_from(self.rng, n, temperature, **options)

    def save(self, path):
        """Save the model and all it takes to go on: `train(docs, resume=path)` then does this run's remaining steps.

        OSError where it cannot be written, CheckpointError where a number is not finite; the old file then stays.
        """
        m, v = self.model.engine.moments()
        model = self.model
        progress = Progress(array("d", self.losses), m, v, self.rng.getstate(), self.val_losses, self._best_params)
        source = Source(self.seed, self.long, len(self.corpus), self.fingerprint(), model.engine.name)
        checkpoint.write(
            path,
            Checkpoint(model.config, model.tokenizer, model.params, self.training, self.evaluation, source, progress),
        )

    def fingerprint(self):
        """SHA-256 of all tokens, those trained on and those held out, as little-endian 32-bit ids."""
        import hashlib

        digest = hashlib.sha256()
        for corpus in (self.corpus, self.held_out):
            if corpus is not None:
                tokens = corpus.tokens if sys.byteorder == "little" else array("I", corpus.tokens)
                if tokens is not corpus.tokens:
                    tokens.byteswap()
                digest.update(tokens)
            digest.update(b"end")
        return digest.hexdigest()

    def _portion_end(self, first, portion, pause_every):
        """The step before which to pause: at most `portion` steps on, but not beyond one that something follows."""
        end = min(first + portion, self.training.num_steps)
        for every in (pause_every, self.evaluation.eval_every if self.held_out else None):
            if every:
                end = min(end, first + every - first % every)
        return end

    def _steps(self, first, end):
        try:
            self.model.engine.train(self.corpus, range(first, end), self.training, self.losses)
        except engines.EngineError:
            raise
        except (ArithmeticError, ValueError) as error:
            raise DivergenceError(self, error) from error

    def _evaluate_where_due(self):
        done = len(self.losses)
        if not self.held_out or (done % self.evaluation.eval_every and done < self.training.num_steps):
            return None
        self.val_losses.append((done, self.evaluate()))
        if self.evaluation.patience is not None:
            if self.best[0] == done:
                self._best_params = array("d", self.model.params)
            elif self.finished:
                self.model.params[:] = self._best_params
        return self.val_losses[-1][1]

    def __repr__(self):
        return f"<Run of {counted(len(self.losses), 'step')}, {self.model!r}>"


class DivergenceError(ValueError):
    """Training cannot go on: a number grew out of range. step: which step, from 1; losses: those of the steps before."""

    def __init__(self, run, cause):
        self.step, self.losses = len(run.losses) + 1, run.losses
        super().__init__(
            f"training diverged at step {self.step} of {run.training.num_steps}: {cause}; {remedy(run, self.step)}"
        )


def remedy(run, step):
    """What is most likely at fault where a run diverges at a step (from 1), and what to do about it."""
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
    return f"try a learning_rate below {rate:g} or a smaller init_std"


# ---- Beginning a run -------------------------------------------------------------------------------------------------


def start(
    docs,
    config=None,
    training=None,
    *,
    seed=None,
    engine=None,
    threads=1,
    evaluation=None,
    long=None,
    init=None,
    resume=None,
):
    """A Run that is ready to train: documents shuffled, a model drawn or loaded. Arguments as for `train`."""
    docs = _checked(docs)
    _check_types(config=(config, GPTConfig), training=(training, TrainConfig), evaluation=(evaluation, EvalConfig))
    if seed is not None:
        SEED.check(seed)
    if resume is not None:
        if init is not None:
            raise ValueError("a resumed run goes on with its own weights; give resume or init, not both")
        return _resume(
            docs, resume, engine, threads, config=config, training=training, evaluation=evaluation, seed=seed, long=long
        )
    engine, evaluation, long = engine or engines.DEFAULT, evaluation or EvalConfig(), long or LONG.default
    training = training or TrainConfig(batch_size=engines.engine_class(engine).batch_size)
    seed = SEED.default if seed is None else seed
    rng = random.Random(seed)
    if init is None:
        config = config or GPTConfig()
        tokenizer, saved = Tokenizer.from_docs(docs, config.bos_first), None
    else:
        saved = init if isinstance(init, GPT) else GPT.load(init)
        _refuse_differences("the model to start from has", config=(config, saved.config))
        config, tokenizer = saved.config, saved.tokenizer
    docs, held_out = documents.arrange(docs, rng, config.block_size, evaluation.val_fraction, long)
    corpus, held_out = Corpus(docs, tokenizer), Corpus(held_out, tokenizer) if held_out else None
    if saved is None:
        model = GPT.init(config, tokenizer, rng, engine, threads)
    else:
        model = GPT(config, tokenizer, array("d", saved.params), engine, threads)
    run = Run(model, corpus, training, rng, held_out, evaluation, seed, long)
    run.drawn = saved is None
    return run


def train(
    docs, config=None, training=None, *, seed=None, engine=None, threads=1, callback=None,
    evaluation=None, long=None, init=None, resume=None,
):  # fmt: skip
    """Train a new model on `docs`, a list of strings; returns a Run. Its defaults are the reference's own run.

    config: GPTConfig; training: TrainConfig; seed: a whole number (None: 42). engine: "python", "graph" or "exact", all
    with the same result (None: exact); or "fast", which computes in float32 and takes 16 documents a step where no
    TrainConfig says otherwise. threads: how many the engine "fast" may use, 0 for all cores; the result is the same.
    callback: called with a Step after each step; a true return value ends the run there.

    evaluation: EvalConfig, to hold documents out. long: what to do with documents longer than the block: "truncate"
    (the reference's), "split" or "error", see microgpt.corpus.documents. init: a GPT, or the path of a saved one, to start
    from instead of random weights. resume: the path of a saved run, which goes on as if it had never stopped, on the
    engine it was on unless another is given; all other settings are its own, and ValueError names one that differs.

    DivergenceError when a loss or a gradient grows out of range.
    """
    run = start(
        docs, config, training, seed=seed, engine=engine, threads=threads, evaluation=evaluation, long=long, init=init,
        resume=resume,
    )  # fmt: skip
    run.train(callback)
    return run


def _resume(docs, path, engine, threads, **given):
    saved = checkpoint.read(path)
    what = quoted_path(path)
    if saved.progress is None:
        raise CheckpointError(f"{what} is a model without its training; to train it on, start from it with init")
    _refuse_differences(
        f"{what} was started with",
        **{name: (given[name], getattr(saved, name)) for name in ("config", "training", "evaluation")},
    )
    for name in ("seed", "long"):
        _refuse_differences(f"{what} was started with", **{name: (given[name], getattr(saved.source, name))})
    rng = random.Random(saved.source.seed)
    fresh, held_out = documents.arrange(
        docs, rng, saved.config.block_size, saved.evaluation.val_fraction, saved.source.long
    )
    if len(fresh) != saved.source.num_docs:
        raise CheckpointError(
            f"the data are not those that {what} was trained on: {counted(len(fresh), 'document')} to train on, "
            f"not {saved.source.num_docs}"
        )
    try:
        corpus = Corpus(fresh, saved.tokenizer)
        held_out = Corpus(held_out, saved.tokenizer) if held_out else None
    except ValueError as error:
        raise CheckpointError(f"the data are not those that {what} was trained on: {error}") from None
    model = GPT(saved.config, saved.tokenizer, saved.params, engine or saved.source.engine, threads)
    run = Run(model, corpus, saved.training, rng, held_out, saved.evaluation, saved.source.seed, saved.source.long)
    if run.fingerprint() != saved.source.fingerprint:
        raise CheckpointError(
            f"the data are not those that {what} was trained on: as many documents, but another text or another order"
        )
    run.drawn, progress = False, saved.progress
    run.losses, run.val_losses, run._best_params = progress.losses.tolist(), progress.val_losses, progress.best_params
    if run.losses:
        model.engine.restore(saved.training, progress.m, progress.v, len(run.losses))
    rng.setstate(progress.rng)
    return run


def _refuse_differences(who, **pairs):
    """CheckpointError that names a setting which is given (not None) and differs from the saved one."""
    for name, (given, saved) in pairs.items():
        if given is None or given == saved:
            continue
        if hasattr(saved, "__dataclass_fields__"):
            name = next(name for name in vars(saved) if getattr(given, name) != getattr(saved, name))
            given, saved = getattr(given, name), getattr(saved, name)
        raise CheckpointError(f"{who} {name} {shortened(str(saved))}, not {shortened(str(given))}; omit {name}, or begin a new run")


def _check_types(**given):
    for name, (value, expected) in given.items():
        if value is not None and not isinstance(value, expected):
            raise TypeError(f"{name} must be a {expected.__name__}, not {type(value).__name__}")


def _checked(docs):
    if not hasattr(docs, "__iter__"):
        raise TypeError(f"docs must be a list of documents, not {quoted(docs)}")
    if isinstance(docs, (str, bytes)):
        raise TypeError("docs must be a list of documents; load_docs reads one from a file")
    docs = list(docs)
    for doc in docs:
        if not isinstance(doc, str):
            raise TypeError(f"every document must be a string, not {quoted(doc)}")
    if not any(docs):
        raise ValueError("there is nothing to train on: give at least one document that is not empty")
    return docs
