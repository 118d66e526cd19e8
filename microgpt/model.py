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


NUMBER = Option("the number of documents", int, 1, "number of documents to write", least=0)
TEXT_LENGTH = 500
LENGTH = Option(
    "length", int, None, "most characters to write after the prompt; without it documents have up to block_size "
    f"characters in all, and a text has {TEXT_LENGTH}", least=0, since="0.2",
)  # fmt: skip


class GPT:
    """A character-level GPT. `train` and `load` return one; `GPT.init` makes one with random weights.

    Any number of threads may read a model at the same time: `generate`, `loss`, `logits`, `save` and so on. While one thread trains it,
    each document, loss or copy for another thread is computed with the weights after some whole step. Writes to `params`, or to the
    views that `state_dict` and `to_numpy` return, are not synchronized.

    Args:
        config: The shape of the model.
        tokenizer: Its characters.
        params: A writable buffer of `config.num_params(tokenizer.vocab_size)` doubles, such as `array("d", ...)`: all matrices one
            after the other in parameter order, row by row. The model keeps the buffer and does not copy it.
        engine: The engine: "python", "graph" or "exact", which give the same bits, or "fast", which computes in float32;
            "exact" by default.
        threads: How many threads the engines "exact" (to train and to measure) and "fast" may use, 0 for all cores.

    Raises:
        ValueError: The buffer has another size or type, is read-only, or the tokenizer does not fit the configuration.
        EngineError: The engine does not compute one of the settings.
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
            raise ValueError(f"this configuration has {expected} parameters; give them as one flat buffer of doubles")
        if tokenizer.bos_first != config.bos_first:
            raise ValueError(
                f"the configuration has bos_first={config.bos_first} but the tokenizer {tokenizer.bos_first}; "
                "make the tokenizer with that of the configuration"
            )
        if params.readonly:
            raise ValueError("the parameters' buffer must be writable, such as array('d', ...)")
        self.config, self.tokenizer, self.params = config, tokenizer, params
        self.engine = engines.create(engine, config, tokenizer.vocab_size, params, threads)

    @classmethod
    def init(cls, config: GPTConfig, tokenizer: Tokenizer, rng: Random, engine: str = engines.DEFAULT, threads: int = 1) -> "GPT":
        """A model with fresh Gaussian weights, drawn from `rng` in parameter order.

        Raises:
            MemoryError: This machine cannot hold the model, its gradients and Adam's moments. Nothing was drawn.
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
        """The model in a file that `save`, `Run.save` or `microgpt train --out` wrote, or in a folder of `save_pretrained`.

        Raises:
            OSError: The file cannot be read.
            CheckpointError: The file is damaged, or is not a saved model.
        """
        saved = checkpoint.read(path)
        return cls(saved.config, saved.tokenizer, saved.params, engine, threads)

    def save(self, path: str | PathLike[str]) -> None:
        """Save the model as a safetensors file, with the names, shapes and numbers of `state_dict`.

        The file is replaced completely or not at all.

        Raises:
            OSError: The file cannot be written.
            CheckpointError: A weight is not finite.
        """
        with self.engine.access.reading():
            checkpoint.write(path, checkpoint.Checkpoint(self.config, self.tokenizer, self.params))

    def save_pretrained(self, folder: str | PathLike[str], *, pytorch: bool = False) -> None:
        """Save the model as a folder in the layout of the Hugging Face Hub, which `load` reads.

        Args:
            folder: The path of the folder. It is made if it does not exist.
            pytorch: Whether to write modeling_microgpt.py too, with which PyTorch loads the folder without this package.

        Raises:
            FileExistsError: The folder has a file of such a name that microgpt did not write.
            OSError: The folder cannot be written.
            CheckpointError: A weight is not finite.
        """
        from microgpt.storage import pretrained

        with self.engine.access.reading():
            saved = checkpoint.Checkpoint(self.config, self.tokenizer, self.params)
            pretrained.write(folder, saved, pytorch=pytorch)

    def save_onnx(self, path: str | PathLike[str]) -> None:
        """Save the model as an ONNX file in float32, for other runtimes. PyTorch converts it (extra `onnx`).

        The input `tokens` is int64 of shape (batch, positions), the output `logits` float32 of shape (batch, positions, vocab_size).

        Raises:
            ImportError: PyTorch or onnxscript is not installed.
            OSError: The file cannot be written.
            CheckpointError: A weight is not finite.
        """
        from microgpt.storage import onnxfile

        with self.engine.access.reading():
            onnxfile.write(path, self)

    # ---- Other formats, in both directions: see docs/interchange.md -----------------------------------------------------------
    # The functions that return a GPT take engine and threads, as GPT does.

    def to_numpy(self) -> "dict[str, numpy.ndarray[Any, numpy.dtype[numpy.float64]]]":
        """Name -> NumPy array of each parameter matrix, float64. They are views: writing into one changes the model."""
        from microgpt.storage import arrays

        return arrays.to_numpy(self)

    @classmethod
    def from_numpy(
        cls, arrays: Mapping[str, Any], config: GPTConfig, tokenizer: Tokenizer, *, engine: str = engines.DEFAULT, threads: int = 1
    ) -> "GPT":
        """A model with copies of weights in NumPy arrays.

        Args:
            arrays: Name -> matrix of floats, with the names and shapes of `to_numpy`.
            config: The shape of the model.
            tokenizer: Its characters.
            engine: As for `GPT`.
            threads: As for `GPT`.

        Raises:
            ValueError: A matrix is missing, unknown, of another shape or not finite.
            TypeError: An array does not hold floats.
        """
        from microgpt.storage.arrays import from_numpy

        return cls(config, tokenizer, from_numpy(arrays, config, tokenizer), engine, threads)

    def to_values(self, kind: Callable[[float], Any] = Value) -> dict[str, list[list[Any]]]:
        """The reference's state_dict, with new Values. Changing them does not change the model.

        Args:
            kind: The class of the Values, such as `microgpt.reference.Value`.

        Returns:
            Name -> list of rows of Values, in parameter order.
        """
        from microgpt.storage import values

        with self.engine.access.reading():
            return values.to_values(self, kind)

    @classmethod
    def from_values(
        cls, weights: Mapping[str, Any], config: GPTConfig, tokenizer: Tokenizer, *, engine: str = engines.DEFAULT, threads: int = 1
    ) -> "GPT":
        """A model with the weights of a state_dict of Values.

        Args:
            weights: Name -> list of rows of objects with a number `data`: of the pure, the compiled or your own class.
            config: The shape of the model.
            tokenizer: Its characters.
            engine: As for `GPT`.
            threads: As for `GPT`.

        Raises:
            ValueError: A matrix is missing, unknown, of another shape or not finite.
        """
        from microgpt.storage import values

        return cls(config, tokenizer, values.from_values(weights, config, tokenizer), engine, threads)

    def loss_graph(self, text: str) -> tuple[Value, dict[str, list[list[Value]]]]:
        """The loss of a document as a graph of Values, with the weights as its leaves.

        `loss.data` equals `GPT.loss(text)`. After `loss.backward()`, the `grad` of each leaf, such as `weights["wte"][3][5].grad`, is the
        gradient that training uses, to the last bit. The Values are copies; changing them does not change the model.
        `microgpt.draw(loss, names=weights, to=...)` draws the path to a weight.

        Returns:
            A pair of the loss, in nats per token, and the state_dict of its leaves.

        Raises:
            ValueError: The loss is infinite.
        """
        from microgpt.storage import values

        with self.engine.access.reading():
            return values.loss_graph(self, text)

    def to_json(self) -> str:
        """The model as JSON text, exact to the last bit.

        Raises:
            CheckpointError: A weight is not finite.
        """
        from microgpt.storage import jsontext

        with self.engine.access.reading():
            return jsontext.to_json(self)

    @classmethod
    def from_json(cls, text: str, *, engine: str = engines.DEFAULT, threads: int = 1) -> "GPT":
        """The model in JSON text that `to_json` wrote.

        Raises:
            CheckpointError: The text is something else, or damaged.
        """
        from microgpt.storage import jsontext

        config, tokenizer, params = jsontext.from_json(text)
        return cls(config, tokenizer, params, engine, threads)

    def to_torch(self, dtype: "torch.dtype | None" = None) -> "torch.nn.Module":
        """An equivalent `torch.nn.Module` with a copy of the weights. Its code is in microgpt/storage/pytorch.py.

        Args:
            dtype: The type of its parameters; `torch.float64` if it is None.

        Raises:
            ImportError: PyTorch is not installed.
        """
        require("torch", "to_torch")
        from microgpt.storage import pytorch

        with self.engine.access.reading():
            return pytorch.to_torch(self, dtype)

    @classmethod
    def from_torch(cls, module: "torch.nn.Module", *, engine: str = engines.DEFAULT, threads: int = 1) -> "GPT":
        """The model of a module made by `to_torch`, whether trained further or not. Smaller floats are converted to float64.

        Raises:
            TypeError: It is another kind of module.
            ValueError: A weight is missing, unknown or not finite.
            ImportError: PyTorch is not installed.
        """
        require("torch", "from_torch")
        from microgpt.storage import parameters, pytorch

        config, tokenizer, rows = pytorch.rows_of(module)
        return cls(config, tokenizer, parameters(rows, config, tokenizer), engine, threads)

    def __getstate__(self):
        """The state for pickle and copy: the name of the engine, and the weights, so that a copy has its own."""
        with self.engine.access.reading():
            weights = array("d", self.params.tobytes())  # mutant: copied-weights
        return vars(self) | {"params": weights, "engine": self.engine.name, "threads": self.engine.threads}

    def __setstate__(self, state):
        GPT.__init__(self, **{name: state[name] for name in ("config", "tokenizer", "params", "engine", "threads")})
        vars(self).update((name, value) for name, value in state.items() if name not in ("params", "engine", "threads"))

    @property
    def num_params(self) -> int:
        """The number of parameters."""
        return len(self.params)

    def state_dict(self) -> "dict[str, memoryview[float]]":
        """Name -> matrix of each parameter, in parameter order: two-dimensional memoryviews of doubles into the model, not copies."""
        views, start = {}, 0
        for name, (rows, columns) in self.config.shapes(self.tokenizer.vocab_size).items():
            part = self.params[start : start + rows * columns]
            views[name] = part.cast("B").cast("d", (rows, columns))
            start += rows * columns
        return views

    def logits(self, text: str) -> list[list[float]]:
        """The scores of the next token: after BOS, and after each character of `text`.

        If `text` is longer than the block, `microgpt.reference.context` defines what the model sees of it. A model of text
        (`GPTConfig.documents`) reads a line break in place of BOS, see `Tokenizer.opening`.

        Returns:
            len(text) + 1 lists of vocab_size floats.

        Raises:
            ValueError: The model does not know a character.
        """
        tokens = self.tokenizer.encode(text)
        with self.engine.access.reading():
            return list(map(self._reader().after, (self._opening(), *tokens)))

    def loss(self, text: str) -> float:
        """The mean cross-entropy of the document `text` in nats per token, including its end.

        The document is truncated to block_size, as in training. The loss is infinite if the probability of a character is too small
        for a float. A text (`GPTConfig.documents`) has no end.

        Raises:
            ValueError: The model does not know a character, or an empty text has nothing to predict.
        """
        return self.token_loss(self.document(text))

    def document(self, text: str) -> list[int]:
        """The token ids of a document, as `loss` and training use them.

        Raises:
            ValueError: The model does not know a character, or an empty text has nothing to predict.
        """
        tokens = self.tokenizer.document(text, self.config.documents)
        if len(tokens) < 2:
            raise ValueError("an empty text has nothing to predict; give at least one character")
        return tokens

    def token_loss(self, tokens: Sequence[int]) -> float:
        """Like `loss`, for the token ids of a document, [BOS, ..., BOS]."""
        with self.engine.access.reading():
            return self.engine.loss_or_infinity(tokens)

    def scores(self, text: str) -> list[float]:
        """The probabilities of the characters of `text`, and of its end after them.

        They are the model's own probabilities, before temperature and top_k. A text of block_size characters or more has no end, and
        neither has any text of a model of text (`GPTConfig.documents`). For the context in a longer text, see `logits`.

        Returns:
            len(text) + 1 floats, or len(text) floats if there is no end.

        Raises:
            ValueError: The model does not know a character.
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
        """Write n new documents.

        Args:
            n: The number of documents.
            temperature: Below 1 favours likely characters, above 1 rare ones; 0 always takes the likeliest.
            seed: The same seed gives the same documents. None: different ones each time.
            engine: The engine to use. None: the model's engine. "fast" writes many documents at a time, in float32 and with its own random
                numbers, so its documents for a seed are different.
            threads: How many threads the engine "fast" may use, 0 for all cores; the documents do not depend on it. None: the model's
                number, or 1 for another engine.
            prompt: The beginning of every document, of any length.
            length: The most characters to write after the prompt. None: a document has up to block_size characters in all (block_size
                more after a prompt that leaves no room), and a text has 500. Beyond the block, `microgpt.reference.context` defines what
                the model sees.
            top_k: Choose only among the k likeliest characters.
            top_p: Choose among the fewest likeliest characters whose probabilities reach this sum, after temperature and top_k.
            unique: Whether to write no document twice.
            exclude: Documents not to write, such as the training documents.

        Returns:
            A list of n strings.

        Raises:
            ValueError: An option is out of bounds, the model does not know a character of the prompt, or no allowed document was found in a
                large number of tries.
            EngineError: The engine does not support this number of threads.
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
        """Like `generate`, but yield lists of documents as they are written.

        A list takes some hundredths of a second, or holds one document.

        Args:
            n: As for `generate`, like all other arguments except `echo`.
            echo: A function that is called with each character as it is written, except for those of the prompt. It is not called if many
                documents are written at the same time.
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
        """Like `generate`, but draw each token from `rng`, a `random.Random`. For `echo`, see `portions`."""
        n, length, tokens, tell = self._checked(n, length, prompt, exclude, echo)
        source = OneByOne(self.engine, self.tokenizer, rng, tokens, SampleConfig(temperature, top_k, top_p), length, tell)
        return list(chain.from_iterable(select(source, n, unique, exclude)))

    def _checked(self, n, length, prompt, exclude, echo):
        """n and length as ints, the prompt's token ids, and a function to call with each token. Raises ValueError or TypeError if
        the arguments are not allowed."""
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

    def explore(self, name: str = "", docs: Iterable[str] | None = None) -> "Page":
        """The page of `microgpt explore`, which a notebook shows in a frame; its `save(path)` writes it.

        Args:
            name: The title of the page.
            docs: The training documents. The page then contains them, and counts how many of the documents that the model writes are among
                them.

        Raises:
            ValueError: The page cannot compute the activation.
        """
        from microgpt.display import explore

        return explore.Page(self, name, docs=docs)

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
"""Load the model in a saved file or folder. The same as [`GPT.load`][microgpt.GPT.load]."""
