"""The published runs on names.txt, of both revisions: every loss, every parameter and twenty samples, by their hashes."""

import hashlib

import pytest

from microgpt import PRESETS, train

# SHA-256 of the losses' hexadecimal forms, one a line; of the final parameters as little-endian doubles; of the samples, one a line
PUBLISHED = {
    "current": (
        "ca22105dde3eb3e3336d5587117bc0f34d2abbd2a5332cb27fed87b794cf4b2a",
        "eb45112c845c28a8aaa286d20c6f0db498088a9689ba9ff7ad0dc5ddeb4342de",
        "7c91a0c48ea9a72d160cde18a6992e4646c6f0eff5e045f9ceef09cb03532b46",
    ),
    "first": (
        "b610b3f1bacc12cd63b082eae5da3a25694bd5419b2c032331e60fb621caa431",
        "edcbe925f140f8780f28c0dc65631c23e53eaf9da8af1c8e41c506a2c5f0db7b",
        "0db51eb36a3641729076166c790a33d1bb580ec883b7dc5cab8f19d34b2e9317",
    ),
}


def digest(lines):
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


@pytest.mark.parametrize("preset", PUBLISHED)
def test_published_run(names, engine, preset):
    config, training, temperature = PRESETS[preset]
    losses, params, samples = PUBLISHED[preset]
    run = train(names, config, training, engine=engine)
    assert digest([loss.hex() for loss in run.losses]) == losses
    assert hashlib.sha256(bytes(run.model.params)).hexdigest() == params
    assert digest(run.generate(20, temperature=temperature)) == samples
