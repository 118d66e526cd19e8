"""A model as a folder in the layout of the Hugging Face Hub, for sharing.

model.safetensors        the model as a file, see checkpoint; `microgpt.load(folder)` reads only this
config.json              its configuration and characters, for programs that read it without this package
README.md                the model card: what it is, and the settings and losses of its run
modeling_microgpt.py     on request: loads the folder in PyTorch
"""

import errno
import json
import os
from dataclasses import asdict
from pathlib import Path

from microgpt import __version__, verdict
from microgpt.common.files import write_folder
from microgpt.common.words import counted, quoted_path
from microgpt.storage import checkpoint
from microgpt.storage.checkpoint import WEIGHTS, Checkpoint

CONFIG, CARD, MODELING = "config.json", "README.md", "modeling_microgpt.py"
MARK = "<!-- Written by microgpt, which replaces this file while this line is in it. -->"


def write(folder, saved, *, pytorch=False):
    """Write the model of a Checkpoint to `folder`, new or existing.

    Raises OSError if that fails; FileExistsError, before anything is written, if the folder has a file of such a name that microgpt
    did not write; CheckpointError if weights are not finite.
    """
    model = Checkpoint(saved.config, saved.tokenizer, saved.params)
    config = json.dumps(described(model), indent=2, allow_nan=False) + "\n"
    contents = {CONFIG: config.encode(), CARD: _card(saved).encode(), WEIGHTS: checkpoint.encoded(model)}
    if pytorch:
        contents[MODELING] = _modeling()
    for name in contents:
        path = os.path.join(folder, name)
        if os.path.lexists(path) and not _is_ours(name, path):
            raise FileExistsError(
                errno.EEXIST, "there is a file that microgpt did not write; name another folder, or move the file away", path
            )
    try:
        write_folder(folder, contents)
    except OSError as error:
        reason = error.strerror or error
        raise OSError(f"{quoted_path(folder)} cannot be written: {reason}") from error


def _is_ours(name, path):
    if name == WEIGHTS:
        return checkpoint.is_saved(path)
    text = Path(path).read_bytes()
    if name == CONFIG:
        return b'"model_type": "microgpt"' in text
    return MARK.encode() in text if name == CARD else text == _modeling()


def described(model):
    """The contents of config.json for a Checkpoint."""
    config, tokenizer = model.config, model.tokenizer
    return {
        "model_type": "microgpt", "architectures": ["MicroGPT"], "microgpt_version": __version__, "torch_dtype": "float64",
        **asdict(config), "vocab_size": tokenizer.vocab_size, "characters": tokenizer.chars,
        "first_character_id": int(tokenizer.bos_first), "bos_token_id": tokenizer.bos,
        "opening_id": tokenizer.opening(config.documents),
    }  # fmt: skip


def _modeling():
    return Path(__file__).with_name(MODELING).read_bytes()


# ---- The card --------------------------------------------------------------------------------------------------------


def _card(saved):
    """Markdown after YAML, which tells the Hub what the folder is. It contains no untrusted text."""
    size = counted(saved.config.num_params(saved.tokenizer.vocab_size), "parameter")
    table = "\n".join(f"| {name} | {value} |" for name, value in _figures(saved).items())
    return f"""---
library_name: microgpt
pipeline_tag: text-generation
tags:
- microgpt
- character-level
---
{MARK}

# A microgpt of {size}

A character-level GPT that [microgpt](https://gist.github.com/karpathy/8627fe009c40f57531cb18360106ce95) trained, in float64.

| | |
|---|---|
{table}

```python
import microgpt

model = microgpt.load("this-folder")
print(model.generate(5))
```

With `{MODELING}` in the folder, PyTorch loads it without microgpt: `from modeling_microgpt import load`.
"""


def _figures(saved):
    """Name -> number or word, for the table of the card."""
    found = {"microgpt": __version__, **asdict(saved.config), "vocab_size": saved.tokenizer.vocab_size}
    if saved.progress is None:
        return found
    progress, source = saved.progress, saved.source
    found |= {"engine": source.engine, "seed": source.seed, "documents trained on": source.num_docs, **asdict(saved.training)}
    found |= {"steps done": len(progress.losses)}
    if progress.losses:
        found["loss, mean of the last steps"] = f"{verdict.smoothed(progress.losses):.4f}"
    if progress.val_losses:
        step, loss = progress.val_losses[-1]
        found["held-out loss"] = f"{loss:.4f} after step {step}"
    return found | {"data, SHA-256 of the tokens": source.fingerprint}
