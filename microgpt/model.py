"""A model, trained or new: its configuration, its tokenizer and its parameters."""

import operator
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from os import PathLike
from random import Random
from typing import TYPE_CHECKING, Any, SupportsIndex

from microgpt import engines
from microgpt.common.extras import require
from microgpt.common.options import Option, in_brief
from microgpt.common.words import counted, quoted
from microgpt.compiled.scalar import Value
from microgpt.config import SIZES, GPTConfig, SampleConfig
from microgpt.engines import sampling
from microgpt.engines.writing import OneByOne, select
from microgpt.storage import checkpoint
from microgpt.tokenizer import Tokenizer

if TYPE_CHECKING:
    import numpy
    import torch

    from microgpt.display.explore import Page


NUMBER = Option("the number of documents", int, 1, "how many are written", least=0)
TEXT_LENGTH = 500
LENGTH = Option(
    "length", int, None, "how many characters are written after the prompt, at most; without it documents have up to block_size "
    f"characters in all, and a text goes on for {TEXT_LENGTH}", least=0, since="0.2",
)  # fmt: skip


class GPT:
    """A character-level GPT. Made by `train` or `load`, or with random weights by `GPT.init`.

    config: GPTConfig; tokenizer: Tokenizer; params: array or other writable buffer of doubles, config.num_params(vocab_size)
    of them, all matrices one after the other in parameter order. The model keeps the buffer and does not copy it. engine: what
    computes, see microgpt.engines; threads: how many the engines "exact" (to train) and "fast" may use, 0 for all cores.

    Any number of threads may read a model at the same time: generate, loss, logits, save and the others. While one trains it, each
    document, loss or copy for another thread is computed with the weights after some whole step. Writes to the buffer itself, or to the
    views that state_dict and to_numpy return, are not synchronized.
    """

    def __init__(
        self,
        config: GPTConfig,
        tokenizer: Tokenizer,
        params: "array[float] | memoryview[float]",
        engine: str = engines.DEFAULT,
        threads: int = 1,
    ) -> None:
        params = memoryview(params)
        expected = config.num_params(tokenizer.vocab_size)
        if params.format != "d" or params.ndim != 1 or len(params) != expected:
            raise ValueError(f"this configuration has {expected} parameters: give them as one flat buffer of doubles")
        if tokenizer.bos_first != config.bos_first:
            raise ValueError(
                f"the configuration has bos_first={config.bos_first} but the tokenizer {tokenizer.bos_first}; "
                "make the tokenizer with the configuration's"
            )
        if params.readonly:
            raise ValueError("the parameters' buffer must be writable, such as array('d', ...)")
        self.config, self.tokenizer, self.params = config, tokenizer, params
        self.engine = engines.create(engine, config, tokenizer.vocab_size, params, threads)

    @classmethod
    def init(cls, config: GPTConfig, tokenizer: Tokenizer, rng: Random, engine: str = engines.DEFAULT, threads: int = 1) -> "GPT":
        """A model with fresh Gaussian weights, drawn from rng (random.Random) in parameter order.

        MemoryError, before anything is drawn, where this machine could not hold the model and Adam's moments.
        """
        _check_size(config.num_params(tokenizer.vocab_size))
        params = array("d")
        for name, (rows, columns) in config.shapes(tokenizer.vocab_size).items():
            std = config.std(name)
            for _ in range(rows):
                params.extend([rng.gauss(0, std) for _ in range(columns)])
        return cls(config, tokenizer, params, engine, threads)

    @classmethod
    def load(cls, path: str | PathLike[str], engine: str = engines.DEFAULT, threads: int = 1) -> "GPT":
        """The model in a file that `save`, Run.save or `microgpt train --out` wrote, or in a folder of `save_pretrained`.

        OSError where it cannot be read; CheckpointError (a ValueError) where it is damaged, or not such a file.
        """
        saved = checkpoint.read(path)
        return cls(saved.config, saved.tokenizer, saved.params, engine, threads)

    def save(self, path: str | PathLike[str]) -> None:
        """Save the model as a safetensors file: names, shapes and numbers of state_dict; see docs/checkpoints.md.

        OSError where it cannot be written, CheckpointError where a weight is not finite; an old file then stays as it
        was.
        """
        with self.engine.access.reading():
            checkpoint.write(path, checkpoint.Checkpoint(self.config, self.tokenizer, self.params))

    def save_pretrained(self, folder: str | PathLike[str], *, pytorch: bool = False) -> None:
        """Save the model as a folder in the layout of the Hugging Face Hub, see docs/interchange.md; `load(folder)` reads it.

        pytorch: with modeling_microgpt.py, by which PyTorch loads it without this package. FileExistsError where a file of such a name is
        there that microgpt did not write.
        """
        from microgpt.storage import pretrained

        with self.engine.access.reading():
            saved = checkpoint.Checkpoint(self.config, self.tokenizer, self.params)
            pretrained.write(folder, saved, pytorch=pytorch)

    # ---- In other forms, and back: see docs/interchange.md -----------------------------------------------------------
    # The functions that return a GPT take engine and threads, as GPT does.

    def to_numpy(self) -> "dict[str, numpy.ndarray[Any, numpy.dtype[numpy.float64]]]":
        """Name -> NumPy array of each parameter matrix: views, so that writing into one changes the model."""
        from microgpt.storage import arrays

        return arrays.to_numpy(self)

    @classmethod
    def from_numpy(
        cls, arrays: Mapping[str, Any], config: GPTConfig, tokenizer: Tokenizer, *, engine: str = engines.DEFAULT, threads: int = 1
    ) -> "GPT":
        """A model with copies of the weights in `arrays`, name -> array of floats, as to_numpy gives them.

        ValueError where they are not the configuration's and the tokenizer's, or not finite; TypeError for what is not
        floats.
        """
        from microgpt.storage.arrays import from_numpy

        return cls(config, tokenizer, from_numpy(arrays, config, tokenizer), engine, threads)

    def to_values(self, kind: Callable[[float], Any] = Value) -> dict[str, list[list[Any]]]:
        """The reference's state_dict: name -> list of rows of fresh Values; kind: their class."""
        from microgpt.storage import values

        with self.engine.access.reading():
            return values.to_values(self, kind)

    @classmethod
    def from_values(
        cls, weights: Mapping[str, Any], config: GPTConfig, tokenizer: Tokenizer, *, engine: str = engines.DEFAULT, threads: int = 1
    ) -> "GPT":
        """A model with the weights of a state_dict of Values, pure, compiled or of a script's own class.

        ValueError where they are not the configuration's and the tokenizer's, or not finite.
        """
        from microgpt.storage import values

        return cls(config, tokenizer, values.from_values(weights, config, tokenizer), engine, threads)

    def loss_graph(self, text: str) -> tuple[Value, dict[str, list[list[Value]]]]:
        """(loss, weights): the loss of a document as the root of its graph of Values, and its leaves as a state_dict.

        loss.data is `loss(text)`, and loss.backward() leaves in weights["wte"][3][5].grad and the others the gradients
        that training takes. The Values are copies: changing them leaves the model as it is. ValueError where the loss
        is infinite. microgpt.draw(loss, names=weights, to=...) draws the way to a weight.
        """
        from microgpt.storage import values

        with self.engine.access.reading():
            return values.loss_graph(self, text)

    def to_json(self) -> str:
        """The model as JSON text, exact to the last bit. CheckpointError where a weight is not finite."""
        from microgpt.storage import jsontext

        with self.engine.access.reading():
            return jsontext.to_json(self)

    @classmethod
    def from_json(cls, text: str, *, engine: str = engines.DEFAULT, threads: int = 1) -> "GPT":
        """The model in JSON text that to_json wrote. CheckpointError (a ValueError) where it is not such a text."""
        from microgpt.storage import jsontext

        config, tokenizer, params = jsontext.from_json(text)
        return cls(config, tokenizer, params, engine, threads)

    def to_torch(self, dtype: "torch.dtype | None" = None) -> "torch.nn.Module":
        """An equivalent torch.nn.Module with a copy of the weights, see microgpt/storage/pytorch.py.

        dtype: torch.float64 where it is None. ImportError where PyTorch is not installed.
        """
        require("torch", "to_torch")
        from microgpt.storage import pytorch

        with self.engine.access.reading():
            return pytorch.to_torch(self, dtype)

    @classmethod
    def from_torch(cls, module: "torch.nn.Module", *, engine: str = engines.DEFAULT, threads: int = 1) -> "GPT":
        """The model of a module that to_torch made, trained or not; float32 and smaller floats are widened.

        TypeError for another module, ValueError where weights are missing, unknown or not finite.
        """
        require("torch", "from_torch")
        from microgpt.storage import parameters, pytorch

        config, tokenizer, rows = pytorch.rows_of(module)
        return cls(config, tokenizer, parameters(rows, config, tokenizer), engine, threads)

    def __getstate__(self):
        """The state for pickle and copy: the engine by its name, and the weights, so that a copy has its own."""
        with self.engine.access.reading():
            weights = array("d", self.params.tobytes())  # mutant: copied-weights
        return vars(self) | {"params": weights, "engine": self.engine.name, "threads": self.engine.threads}

    def __setstate__(self, state):
        GPT.__init__(self, **{name: state[name] for name in ("config", "tokenizer", "params", "engine", "threads")})
        vars(self).update((name, value) for name, value in state.items() if name not in ("params", "engine", "threads"))

    @property
    def num_params(self) -> int:
        return len(self.params)

    def state_dict(self) -> "dict[str, memoryview[float]]":
        """Name -> matrix of each parameter, in parameter order: 2-D memoryviews of doubles into the model, no copies."""
        views, start = {}, 0
        for name, (rows, columns) in self.config.shapes(self.tokenizer.vocab_size).items():
            part = self.params[start : start + rows * columns]
            views[name] = part.cast("B").cast("d", (rows, columns))
            start += rows * columns
        return views

    def logits(self, text: str) -> list[list[float]]:
        """The logits after BOS and after each character of `text`: len(text) + 1 lists of vocab_size floats.

        Where `text` is longer than the block, the model sees of it what microgpt.reference.context() says. A model of text
        (GPTConfig.documents) reads a line break in place of BOS, see Tokenizer.opening.
        """
        tokens = self.tokenizer.encode(text)
        with self.engine.access.reading():
            return list(map(self._reader().after, (self._opening(), *tokens)))

    def loss(self, text: str) -> float:
        """Mean cross-entropy, in nats a token, of the document `text` with its end; cut at block_size as in training.

        Infinite where the model gives a character a probability too small for a float. A text (GPTConfig.documents) has no end, and
        an empty one no loss: ValueError.
        """
        return self.token_loss(self.document(text))

    def document(self, text: str) -> list[int]:
        """The token ids of a document, as `loss` takes it and training did."""
        tokens = self.tokenizer.document(text, self.config.documents)
        if len(tokens) < 2:
            raise ValueError("an empty text has nothing to predict; give at least one character")
        return tokens

    def token_loss(self, tokens: Sequence[int]) -> float:
        """As `loss`, of a document's token ids [BOS, ..., BOS]."""
        with self.engine.access.reading():
            return self.engine.loss_or_infinity(tokens)

    def scores(self, text: str) -> list[float]:
        """The probability the model gives each character of `text` and then its end: a list of floats.

        They are the model's own, without temperature or top_k. A text of block_size characters or more has no end, nor has any text of a
        model of text (GPTConfig.documents). For the context in a longer one, see `logits`.
        """
        tokens = self.tokenizer.encode(text)
        has_end = self.config.documents != "text" and len(tokens) < self.config.block_size
        scores, last = [], self._opening()
        with self.engine.access.reading():
            reader = self._reader()
            for token in [*tokens, self.tokenizer.bos] if has_end else tokens:
                scores.append(sampling.softmax(reader.after(last))[token])
                last = token
        return scores

    def generate(
        self, n: int = 1, temperature: float = SampleConfig.temperature, *,
        seed: int | None = None, engine: str | None = None, threads: int | None = None,
        prompt: str = "", length: int | None = None, top_k: int | None = None, top_p: float | None = None,
        unique: bool = False, exclude: Iterable[str] = (),
    ) -> list[str]:  # fmt: skip
        """n new documents, a list of strings.

        temperature: below 1 the likely characters become likelier, above 1 less so; 0 always takes the likeliest. top_k:
        choose among the k likeliest characters; top_p: among the fewest whose probabilities reach the sum p. prompt: what
        every document begins with, of any length. length: how many characters are written after it, at most; None: documents have up
        to block_size in all (after a prompt that leaves no room, block_size more), and a text has TEXT_LENGTH. For the context of the
        model beyond block_size characters see microgpt.reference.context(). unique: no document twice; exclude: documents not to be
        written, such as those of the training. ValueError where no document that is allowed was found in writing.MOST_TRIES tries.

        seed: the same seed gives the same documents; None gives others each time. engine, threads: what computes and on how
        many threads; None: the model's own. The engine "fast" writes many documents at a time, in float32 and with random
        numbers of its own: there a seed gives other documents, the same on any number of threads.
        """
        found = self.portions(
            n, temperature, seed=seed, engine=engine, threads=threads,
            prompt=prompt, length=length, top_k=top_k, top_p=top_p, unique=unique, exclude=exclude,
        )  # fmt: skip
        return list(chain.from_iterable(found))

    def portions(
        self, n: int = 1, temperature: float = SampleConfig.temperature, *,
        seed: int | None = None, engine: str | None = None, threads: int | None = None,
        prompt: str = "", length: int | None = None, top_k: int | None = None, top_p: float | None = None,
        unique: bool = False, exclude: Iterable[str] = (), echo: Callable[[str], object] | None = None,
    ) -> Iterator[list[str]]:  # fmt: skip
        """As `generate`, yielding lists of documents as they are written. A list takes some hundredths of a second, or one document.

        echo: called with each character as it is written, those of the prompt not; but not where many documents are written at once.
        """
        choice = SampleConfig(temperature, top_k, top_p)
        n, length, tokens, tell = self._checked(n, length, prompt, exclude, echo)
        seed = operator.index(seed) if isinstance(seed, SupportsIndex) else seed  # converts NumPy's integers
        access = self.engine.access
        with access.reading():
            if threads is not None or engine not in (None, self.engine.name):
                name = engine or self.engine.name
                threads = 1 if threads is None else engines.check_threads(name, threads, "writes")
                writing = GPT(self.config, self.tokenizer, self.params, name, threads).engine
                writing.access = access  # the weights are the same
            else:
                writing = self.engine
            source = writing.writer(self.tokenizer, seed, tokens, choice, n, length, tell)
        return select(source, n, unique, exclude)

    def generate_from(
        self, rng: Random, n: int = 1, temperature: float = SampleConfig.temperature, *,
        prompt: str = "", length: int | None = None, top_k: int | None = None, top_p: float | None = None,
        unique: bool = False, exclude: Iterable[str] = (), echo: Callable[[str], object] | None = None,
    ) -> list[str]:  # fmt: skip
        """As `generate`, drawing each token from the given random.Random. echo: see `portions`."""
        n, length, tokens, tell = self._checked(n, length, prompt, exclude, echo)
        source = OneByOne(self.engine, self.tokenizer, rng, tokens, SampleConfig(temperature, top_k, top_p), length, tell)
        return list(chain.from_iterable(select(source, n, unique, exclude)))

    def _checked(self, n, length, prompt, exclude, echo):
        """n and length as ints, the prompt's token ids, and what is called with each token; ValueError or TypeError unless
        documents can be written so."""
        if isinstance(exclude, str):
            raise TypeError(f"exclude must be a list of documents, not {quoted(exclude)}")
        n, length, tokens = NUMBER.check(n), LENGTH.check(length), self.tokenizer.encode(prompt)
        if length is None:
            is_text = self.config.documents == "text"
            length = TEXT_LENGTH if is_text else sampling.room(len(tokens), self.config.block_size)
        return n, length, tokens, echo and (lambda token: echo(self.tokenizer.decode([token])))

    def _opening(self):
        return self.tokenizer.opening(self.config.documents)

    def _reader(self):
        return sampling.Reader(self.engine.decoder, self.config, self.tokenizer.bos)

    def __repr__(self) -> str:
        return f"<GPT of {counted(self.num_params, 'parameter')}: {in_brief(self.config, SIZES)}, {self.tokenizer.vocab_size} tokens>"

    # ---- In a notebook: see docs/notebooks.md -----------------------------------------------------------------------

    def explore(self, name: str = "") -> "Page":
        """The page of `microgpt explore`, which a notebook shows in a frame; its `save(path)` writes it. name: its title.

        ValueError for an activation that the page cannot compute.
        """
        from microgpt.display import explore

        return explore.Page(self, name)

    def _repr_html_(self):
        from microgpt.display import cards

        return cards.of_model(self)


def _check_size(num_params):
    needed = 4 * 8 * num_params  # parameters, gradients and Adam's two moments, doubles
    there_is = engines.machine_memory()
    if needed > there_is:
        raise MemoryError(
            f"a model of {num_params:.3g} parameters takes {needed / 2**30:.3g} GB to train, and this machine has "
            f"{there_is / 2**30:.3g} GB; choose a smaller n_embd, n_layer or block_size"
        )


load = GPT.load
