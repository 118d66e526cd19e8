"""From logits to the next token, in floats: the same operations in the same order as the reference does on Values."""

import math


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
    """-log of the probability of token id `target`; ValueError, as in the reference, where that has underflowed to 0."""
    return math.log(softmax(logits)[target]) * -1


def probabilities(logits, temperature=1.0, top_k=None, top_p=None):
    """Probabilities of the next token: logits divided by `temperature`, then only the `top_k` likeliest where given.

    top_p: of these, only as many of the likeliest as it takes for their probabilities to reach the sum top_p (nucleus
    sampling: Holtzman et al., 2019). Equally likely tokens at an edge are taken in order of their ids. Temperature 0 is
    greedy: all of the probability goes to the likeliest token.
    """
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


def generate(decode, rng, bos, block_size, prompt=(), temperature=1.0, top_k=None, top_p=None):
    """Token ids of one document: the `prompt` and what the model writes after it, until BOS or `block_size` tokens.

    decode: see Engine.decoder; rng: random.Random, from which one number is drawn for each token, by rng.choices.
    """
    tokens = list(prompt)
    logits = decode(bos)
    for token in tokens:
        logits = decode(token)
    while True:
        weights = probabilities(logits, temperature, top_k, top_p)
        token = rng.choices(range(len(weights)), weights=weights)[0]
        if token == bos:
            return tokens
        tokens.append(token)
        if len(tokens) == block_size:
            return tokens
        logits = decode(token)
