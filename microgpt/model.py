"""A trained (or fresh) model: its configuration, its tokenizer and its parameters."""

import math
import random
from array import array

from microgpt import engines, sampling


class GPT:
    """A character-level GPT. Made by `train` or `load`, or with random weights by `GPT.init`.

    config: GPTConfig; tokenizer: Tokenizer; params: array or other writable buffer of doubles, config.num_params(vocab_size)
    of them, all matrices one after the other in parameter order. The model keeps the buffer and does not copy it.
    """

    def __init__(self, config, tokenizer, params, engine=engines.DEFAULT):
        params = memoryview(params)
        expected = config.num_params(tokenizer.vocab_size)
        if params.format != "d" or params.ndim != 1 or len(params) != expected:
            raise ValueError(f"this configuration has {expected} parameters: give them as one flat buffer of doubles")
        if params.readonly:
            raise ValueError("the parameters' buffer must be writable, such as array('d', ...)")
        self.config, self.tokenizer, self.params = config, tokenizer, params
        self.engine = engines.create(engine, config, tokenizer.vocab_size, params)

    @classmethod
    def init(cls, config, tokenizer, rng, engine=engines.DEFAULT):
        """A model with fresh Gaussian weights, drawn from rng (random.Random) in parameter order."""
        params = array("d")
        for name, (rows, columns) in config.shapes(tokenizer.vocab_size).items():
            std = config.std(name)
            params.extend([rng.gauss(0, std) for _ in range(rows * columns)])
        return cls(config, tokenizer, params, engine)

    @property
    def num_params(self) -> int:
        return len(self.params)

    def state_dict(self):
        """Name -> matrix of each parameter, in parameter order: 2-D memoryviews of doubles into the model, no copies."""
        views, start = {}, 0
        for name, (rows, columns) in self.config.shapes(self.tokenizer.vocab_size).items():
            part = self.params[start : start + rows * columns]
            views[name] = part.cast("B").cast("d", (rows, columns))
            start += rows * columns
        return views

    def logits(self, text):
        """The logits after BOS and after each character of `text`: len(text) + 1 lists of vocab_size floats."""
        tokens = self._context(text, self.config.block_size - 1)
        decode = self.engine.decoder()
        return [decode(token) for token in (self.tokenizer.bos, *tokens)]

    def loss(self, text):
        """Mean cross-entropy, in nats a token, of the document `text` with its end; cut at block_size as in training.

        Infinite where the model gives a character a probability too small for a float.
        """
        tokens = self.tokenizer.document(text)
        try:
            return self.engine.loss(tokens)
        except ValueError:  # log(0)
            return math.inf

    def generate(self, n=1, temperature=0.5, *, prompt="", seed=None, top_k=None):
        """n new documents, a list of strings, each starting with `prompt`.

        temperature: below 1 the likely characters become likelier, above 1 less so; 0 always takes the likeliest.
        seed: the same seed gives the same documents; None gives others each time. top_k: choose among the k likeliest.
        """
        return self.generate_from(random.Random(seed), n, temperature, prompt=prompt, top_k=top_k)

    def generate_from(self, rng, n=1, temperature=0.5, *, prompt="", top_k=None):
        """As `generate`, drawing from the given random.Random."""
        if isinstance(n, bool) or not isinstance(n, int):
            raise TypeError(f"the number of documents must be a whole number, not {n!r}")
        if n < 0:
            raise ValueError(f"the number of documents must be at least 0, not {n}")
        sampling.check_options(temperature, top_k)
        prompt = self._context(prompt, self.config.block_size - 1)
        generate, bos, decode = self.engine.generate, self.tokenizer.bos, self.tokenizer.decode
        return [decode(generate(rng, bos, prompt, temperature, top_k)) for _ in range(n)]

    def _context(self, text, longest):
        if len(text) > longest:
            raise ValueError(
                f"{text!r} has {len(text)} characters, but a block_size of {self.config.block_size} "
                f"has room for {longest} after BOS; shorten it"
            )
        return self.tokenizer.encode(text)

    def __repr__(self):
        return f"<GPT with {self.num_params} parameters, {self.config}>"
