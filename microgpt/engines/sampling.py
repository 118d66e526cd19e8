"""From logits to the next token, in floats: the same operations in the same order as the reference does on Values."""

import math

from microgpt import reference


def softmax(logits):
    """Probabilities of logits, both lists of floats; the reference's `e / total` is `e * total**-1`."""
    largest = max(logits)
    exps = [math.exp(logit + -largest) for logit in logits]
    total = 0.0
    for e in exps:  # not sum(): from Python 3.12 on it rounds differently
        total += e
    scale = total**-1
    return [e * scale for e in exps]


def cross_entropy(logits, target):
    """-log of the probability of token id `target`. Raises ValueError, like the reference, if that has underflowed to 0."""
    return math.log(softmax(logits)[target]) * -1


def probabilities(logits, temperature=1.0, top_k=None, top_p=None, never=None):
    """Probabilities of the next token: logits divided by `temperature`, then only the `top_k` likeliest where given.

    top_p: of these, only as many of the likeliest as it takes for their probabilities to reach the sum top_p (nucleus
    sampling: Holtzman et al., 2019). Equally likely tokens at an edge are taken in order of their ids. Temperature 0 is
    greedy: all of the probability goes to the likeliest token. never: the id of a token that is not chosen, or None.
    """
    if never is not None:
        logits = [-math.inf if i == never else logit for i, logit in enumerate(logits)]
    if temperature == 0:
        logits, top_k, temperature = list(logits), 1, 1.0
    scale = temperature**-1
    logits = [logit * scale for logit in logits]
    if top_k is not None and top_k < len(logits):
        kept = set(sorted(range(len(logits)), key=lambda i: -logits[i])[:top_k])
        logits = [logit if i in kept else -math.inf for i, logit in enumerate(logits)]
    weights = softmax(logits)
    if top_p is None or top_p == 1:
        return weights
    kept, total = set(), 0.0
    for i in sorted(range(len(weights)), key=lambda i: -weights[i]):
        kept.add(i)
        total += weights[i]
        if total >= top_p:
            break
    return softmax([logit if i in kept else -math.inf for i, logit in enumerate(logits)])


class Reader:
    """The logits after any number of tokens, by a decoder that starts again where reference.context() does.

    decoder: a function that makes one, see Engine.decoder; config: GPTConfig.
    """

    def __init__(self, decoder, config, bos):
        self.decoder, self.config, self.bos = decoder, config, bos
        self.tokens, self.room = [], 0  # room: how many more tokens the decoder can take

    def after(self, *tokens):
        """The logits after further tokens, at least one."""
        self.tokens += tokens
        self.room -= len(tokens)
        if self.room < 0:
            tokens = reference.context(self.tokens, self.bos, self.config)
            self.decode, self.room = self.decoder(), self.config.block_size - len(tokens)
        for token in tokens:
            logits = self.decode(token)
        return logits


def room(n_prompt, block_size):
    """How many tokens a document may have after a prompt of this many: up to block_size in all; after a longer prompt, block_size more."""
    return block_size - n_prompt if n_prompt < block_size else block_size


def generate(reader, rng, opening, prompt, temperature, top_k, top_p, length, tell=None):
    """Token ids: the `prompt` and what the model writes after it, up to `length` tokens, or until BOS, which a text never has.

    reader: Reader; rng: random.Random, from which one number is drawn for each token, by rng.choices; opening: the token that the
    model reads before the prompt; tell: called with each token as it is written.
    """
    tokens, new, bos = list(prompt), (opening, *prompt), reader.bos
    never = bos if reader.config.documents == "text" else None
    end = len(tokens) + length
    while len(tokens) < end:
        weights = probabilities(reader.after(*new), temperature, top_k, top_p, never)
        token = rng.choices(range(len(weights)), weights=weights)[0]
        if token == bos:
            break
        tokens.append(token)
        new = (token,)
        if tell is not None:
            tell(token)
    return tokens
