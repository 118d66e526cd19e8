"""Starting a run: documents are shuffled and a model is drawn or loaded, or a saved run is continued."""

import random
from array import array
from collections.abc import Callable, Iterable
from dataclasses import replace
from os import PathLike

from microgpt import engines, verdict
from microgpt.common import files, renamed
from microgpt.common.options import Option, options_of
from microgpt.common.saying import warn
from microgpt.common.words import counted, quoted_path, shortened
from microgpt.config import EvalConfig, GPTConfig, TrainConfig
from microgpt.corpus import documents
from microgpt.corpus.documents import LONG_DOCS
from microgpt.corpus.tokens import fingerprint
from microgpt.model import GPT
from microgpt.snapshots import SNAPSHOTS, Snapshots
from microgpt.storage import checkpoint
from microgpt.storage.schema import CheckpointError
from microgpt.tokenizer import Tokenizer
from microgpt.training.run import Run, Step, TrainingWarning

SEED = Option("seed", int, 42, "seed of all random numbers", digits=1000)


@renamed.argument("long")
def start(
    docs: Iterable[str],
    config: GPTConfig | None = None,
    training: TrainConfig | None = None,
    *,
    seed: int | None = None,
    engine: str | None = None,
    threads: int = 1,
    evaluation: EvalConfig | None = None,
    val_docs: Iterable[str] | None = None,
    long_docs: str | None = None,
    init: GPT | str | PathLike[str] | None = None,
    resume: str | PathLike[str] | None = None,
    snapshots: int | None = None,
) -> Run:
    """A run that is ready to train: the documents are shuffled, and the model is drawn or loaded. Arguments as for `train`."""
    docs = documents.checked("docs", docs)
    if val_docs is not None:
        val_docs = documents.checked("val_docs", val_docs)
    _check_types(config=(config, GPTConfig), training=(training, TrainConfig), evaluation=(evaluation, EvalConfig))
    if seed is not None:
        seed = SEED.check(seed)
    snapshots = SNAPSHOTS.check(snapshots)
    if resume is not None:
        if init is not None:
            raise ValueError("a resumed run continues with its own weights; give resume or init, not both")
        return _resume(
            docs, val_docs, resume, engine, threads, config=config, training=training, evaluation=evaluation, seed=seed, long_docs=long_docs,
            snapshots=snapshots,
        )  # fmt: skip
    engine, evaluation, long_docs = engine or engines.DEFAULT, evaluation or EvalConfig(), long_docs or LONG_DOCS.default
    evaluation.check_documents(val_docs is not None)
    training = training or TrainConfig(batch_size=engines.engine_class(engine).batch_size)
    seed = SEED.default if seed is None else seed
    rng = random.Random(seed)
    if init is None:
        config = config or GPTConfig()
        tokenizer, saved = Tokenizer(documents.characters(docs, config), config.bos_first), None
    else:
        saved = init if isinstance(init, GPT) else GPT.load(init)
        _refuse_differences("the model to start from has", config=(config, saved.config))
        config, tokenizer = saved.config, saved.tokenizer
    documents.note_oddities(docs, val_docs, config)
    documents.refuse_idle(config, evaluation, long_docs)
    trained, held_out = documents.parts(docs, rng, config, evaluation, long_docs, val_docs or ())
    corpus = trained(tokenizer)
    try:
        held_out = held_out and held_out(tokenizer)
    except ValueError as error:
        if val_docs is None:
            raise
        where = "omit it there" if config.documents == "text" else "omit the documents that have it"
        advice = where + ("" if saved else ", or also train on some that have it")
        raise ValueError(f"val_docs cannot be measured: {error}; {advice}") from None
    if saved is None:
        model = GPT.init(config, tokenizer, rng, engine, threads)
    else:
        model = GPT(config, tokenizer, array("d", saved.params), engine, threads)
    run = Run(model, corpus, training, rng, held_out, evaluation, seed, long_docs, Snapshots(snapshots) if snapshots else None)
    run.drawn = saved is None
    return run


@renamed.argument("long")
def train(
    docs: Iterable[str],
    config: GPTConfig | None = None,
    training: TrainConfig | None = None,
    *,
    seed: int | None = None,
    engine: str | None = None,
    threads: int = 1,
    callback: Callable[[Step], object] | None = None,
    evaluation: EvalConfig | None = None,
    val_docs: Iterable[str] | None = None,
    long_docs: str | None = None,
    init: GPT | str | PathLike[str] | None = None,
    resume: str | PathLike[str] | None = None,
    snapshots: int | None = None,
    gradient_norms: bool = False,
    progress: bool = False,
    run_dir: str | PathLike[str] | None = None,
) -> Run:
    """Train a model on documents. By default this is the reference's own run: 1,000 steps, one document each.

    Args:
        docs: The documents, a list of strings.
        config: The shape of the model. None: the published model's, or that of `init`.
        training: The steps, the batch size and Adam's settings. None: the published settings; the engine "fast" takes batches of 16.
        seed: The seed of all random numbers: of the order of the documents, the weights and the samples. None: 42.
        engine: The engine: "python", "graph" or "exact", which give the same bits, or "fast", which computes in float32. None:
            "exact".
        threads: How many threads the engines "exact" and "fast" may use, 0 for all cores. The result does not depend on it.
        callback: A function that is called with a `Step` after each step. If it returns a true value, the run ends there.
            `microgpt.lab.loggers` has callbacks for TensorBoard, Weights & Biases and trackio.
        evaluation: Which part of `docs` to hold out, and how often to measure the loss on it. None: nothing is held out.
        val_docs: Documents to measure on instead of a part of `docs`. They change no bit of the training. A `DataWarning` says how many
            of them are also trained on.
        long_docs: What to do with a document longer than the block: "truncate" it, as the reference does; "split" it into several; or
            "error". None: "truncate".
        init: A model, or the path of a saved one, to start from instead of random weights.
        resume: The path of a saved run to continue. `docs` and `val_docs` must be those of that run; other settings may be omitted. Only
            `num_steps` may differ: then each remaining step has the learning rate of a run with that many steps.
        snapshots: About how many copies of the weights to keep in `Run.snapshots` for `microgpt explore`, close together at first. None:
            none. They change no bit of the training.
        gradient_norms: Whether to measure the norm of each step's gradient, see `Run.train`.
        progress: Whether to show a line of progress: in the output of a notebook's cell, or on a terminal's standard error. If standard
            error is a file, a long training occasionally writes a line there.
        run_dir: A folder in which a new one keeps the run, with its settings, losses, model and samples, as `microgpt train --run-dir`
            does; `Run.folder` is its path. None: nothing is kept.

    Returns:
        The finished run, with the model, the losses and the random generator that sampling continues to use.

    Raises:
        DivergenceError: A loss or a gradient left the range of floats.
        Interrupted: Ctrl-C was pressed; the error has the run, which can continue.
        EngineError: The engine does not compute one of the settings.
        CheckpointError: The file to resume is damaged, or was saved with other documents or settings.
        ValueError: The documents cannot be trained on, or two arguments contradict each other.
        MemoryError: This machine has too little memory for the run.

    Warns:
        TrainingWarning: Training made the model worse than it was.
    """
    run = start(
        docs, config, training, seed=seed, engine=engine, threads=threads, evaluation=evaluation, val_docs=val_docs, long_docs=long_docs,
        init=init, resume=resume, snapshots=snapshots,
    )  # fmt: skip
    if run_dir is None:
        run.train(callback, progress, gradient_norms=gradient_norms)
    else:
        from microgpt.lab import folders

        with run._shown(progress) as shown, folders.kept(run, run_dir, resume) as update:
            run.train(callback, lambda: (shown and shown(), update()), gradient_norms=gradient_norms)
    if run.diverged:
        warn(verdict.divergence(run), TrainingWarning)
    return run


def _resume(docs, val_docs, path, engine, threads, **given):
    saved = checkpoint.read(path)
    files.sweep(path)
    what = quoted_path(path)
    if saved.progress is None:
        raise CheckpointError(f"{what} is a model without its training; to train it further, start from it with init")
    given["evaluation"] = _as_old(given["evaluation"], saved.evaluation)
    _refuse_differences(
        f"{what} was started with",
        **{name: (given[name], getattr(saved, name)) for name in ("config", "training", "evaluation")},
    )
    for name in ("seed", "long_docs"):
        _refuse_differences(f"{what} was started with", **{name: (given[name], getattr(saved.source, name))})
    kept = saved.progress.snapshots
    _refuse_differences(f"{what} was started with", snapshots=(given["snapshots"], kept and kept.count))
    expected = saved.source.val_fingerprint
    if val_docs is None and expected is not None:
        raise CheckpointError(f"{what} was started with val_docs; give the same documents again")
    if val_docs is not None and expected is None:
        raise CheckpointError(f"{what} was started without val_docs; omit val_docs, or start a new run")
    documents.note_oddities(docs, val_docs, saved.config)
    rng = random.Random(saved.source.seed)
    trained, held_out = documents.parts(docs, rng, saved.config, saved.evaluation, saved.source.long_docs, val_docs or ())
    data = f"the data are not those that {what} was trained on"
    val = f"the documents of val_docs are not those that {what} was measured on"
    corpus = _read_again(trained, saved.tokenizer, data)
    if len(corpus) != saved.source.num_docs:
        noun = "window" if saved.config.documents == "text" else "document"
        raise CheckpointError(f"{data}: {counted(len(corpus), noun)} to train on, not {saved.source.num_docs}")
    held_out = held_out and _read_again(held_out, saved.tokenizer, data if val_docs is None else val)
    if val_docs is not None and fingerprint(held_out) != expected:
        raise CheckpointError(f"{val}: another text or another order")
    model = GPT(saved.config, saved.tokenizer, saved.params, engine or saved.source.engine, threads)
    run = Run(model, corpus, saved.training, rng, held_out, saved.evaluation, saved.source.seed, saved.source.long_docs, kept)
    if run.fingerprint() != saved.source.fingerprint:
        raise CheckpointError(f"{data}: as many documents, but another text or another order")
    run.drawn, progress = False, saved.progress
    run.losses, run.val_losses, run._best_params = progress.losses.tolist(), progress.val_losses, progress.best_params
    run.extended = [(done, _with_steps(saved.training, num_steps)) for done, num_steps in progress.extended]
    if run.losses:
        model.engine.restore(saved.training, progress.m, progress.v, len(run.losses))
    rng.setstate(progress.rng)
    if given["training"] is not None:
        _extend(run, given["training"].num_steps, what)
    return run


def _as_old(given, saved):
    """The EvalConfig `given`, or None, as the version that saved the run would read it: an option at its default, for which that
    version had another default, gets the value of the saved run."""
    if given is None:
        return None
    old = {
        name: option.before
        for name, option in options_of(EvalConfig).items()
        if option.before is not ... and getattr(saved, name) == option.before and getattr(given, name) == option.default
    }
    return EvalConfig.saved(vars(given) | old)


def _extend(run, num_steps, what):
    """Let a resumed run have another number of steps in all."""
    done, before = len(run.losses), run.training
    if num_steps == before.num_steps:
        return
    if num_steps < done:
        raise CheckpointError(f"{what} has done {counted(done, 'step')}; num_steps must be at least {done}, not {num_steps}")
    if run.evaluation.patience is not None and run.finished:
        raise CheckpointError(
            f"{what} ended with the weights of its best held-out loss, from which its training cannot continue; start another "
            "run from them with init"
        )
    if done and done not in dict(run.extended):  # otherwise no step was done with the previous number of steps
        run.extended.append((done, before))
    run.training = replace(before, num_steps=num_steps)


def _with_steps(training, num_steps):
    return TrainConfig.saved({**vars(training), "num_steps": num_steps})


def _read_again(part, tokenizer, others):
    try:
        return part(tokenizer)
    except ValueError as error:
        raise CheckpointError(f"{others}: {error}") from None


def _refuse_differences(who, **pairs):
    """Raise CheckpointError, naming the setting, if one that is given (not None) differs from the saved one."""
    for name, (given, saved) in pairs.items():
        if given is None or given == saved:
            continue
        if hasattr(saved, "__dataclass_fields__"):
            different = [name for name in vars(saved) if getattr(given, name) != getattr(saved, name)]
            if different == ["num_steps"]:  # see _extend
                continue
            name = next(name for name in different if name != "num_steps")
            given, saved = getattr(given, name), getattr(saved, name)
        raise CheckpointError(f"{who} {name} {shortened(str(saved))}, not {shortened(str(given))}; omit {name}, or start a new run")


def _check_types(**given):
    for name, (value, expected) in given.items():
        if value is not None and not isinstance(value, expected):
            raise TypeError(f"{name} must be a {expected.__name__}, not {type(value).__name__}")
