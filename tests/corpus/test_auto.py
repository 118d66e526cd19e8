"""Settings that fit the data: --auto, --block-size auto and microgpt.suggest."""

import re
import shlex
from pathlib import Path

import pytest
from command_line import TEN_NAMES

import microgpt
from microgpt import GPTConfig, advice
from microgpt.cli import automatic, main

NAMES = "\n".join(TEN_NAMES)
LINES = "".join(chr(97 + i * i % 26) + "\n "[i % 5 > 0] for i in range(20_000))  # 4,001 lines of 9 characters


@pytest.fixture
def speed(monkeypatch):
    """A machine of constant speed: (cycles per second, the factor by which time is multiplied)."""

    def measured(config, docs, tokenizer, wanted, engine, threads, given):
        length = min(config.block_size, max(map(len, docs)) + 1)
        batch_size = given.get("batch_size", max(1, round(wanted / length)))
        return batch_size, batch_size * length, batch_size * length * config.num_params(tokenizer.vocab_size) * 1e-9

    monkeypatch.setattr(advice, "_measure", measured)


def vocab_size(chosen):
    return len(set("".join(chosen.docs))) + 1


def num_params(chosen):
    return chosen.config.num_params(vocab_size(chosen))


def tokens(chosen):
    """The number of tokens on which a run with this suggestion trains."""
    return chosen.training.num_steps * chosen.training.batch_size * chosen.config.block_size


# ---- What is chosen -------------------------------------------------------------------------------------------------------


def test_more_time_and_more_data_make_larger_models(speed):
    sizes = [advice.suggest(LINES, seconds) for seconds in (0.5, 3, 10, 100)]
    params = list(map(num_params, sizes))
    assert params == sorted(set(params)) and params[-1] <= advice.PARAMS_PER_CHARACTER * len(LINES)
    assert num_params(advice.suggest(LINES[:9_000], 100)) < 18_000 < params[-1]
    for each in sizes:
        assert (
            len(each.docs) == 4_001
            and each.engine == "fast"
            and each.config.documents == "lines"
            and each.long_docs == "truncate"
            and each.config.block_size == 10
        )


def test_the_steps_fill_the_time_unless_the_data_are_small(speed):
    chosen = advice.suggest(LINES, 3)
    assert tokens(chosen) * num_params(chosen) * 1e-9 == pytest.approx(3, rel=0.01)
    assert tokens(chosen) > advice.TOKENS_PER_PARAM * num_params(chosen) and chosen.training.weight_decay == 0.1
    few = advice.suggest(LINES, 1000)
    assert tokens(few) / len(LINES) == pytest.approx(advice.most_passes(len(LINES)), rel=0.01) and few.training.weight_decay == 0.3
    assert advice.suggest("ab\nc", 1000).training.num_steps == advice.FEWEST_STEPS


def test_what_is_given_stays(speed):
    given = {"n_layer": 3, "n_head": 5, "block_size": 7, "engine": "exact", "batch_size": 2, "learning_rate": 0.5, "min_learning_rate": 0.1}
    given |= {"documents": "text", "scale_init": False, "weight_decay": 0.0, "clip_norm": None}
    chosen = advice.suggest(LINES, 1, **given)
    found = vars(chosen.config) | vars(chosen.training) | {"engine": chosen.engine}
    assert given.items() <= found.items() and found["n_embd"] % 5 == 0 and found["num_steps"] > 1
    assert advice.suggest(LINES, 1, n_embd=30).config.n_head == 3 and advice.suggest(LINES, 1, num_steps=7).training.num_steps == 7
    constant = advice.suggest(LINES, 1, schedule="constant", min_learning_rate=0.0).training
    assert (constant.schedule, constant.min_learning_rate) == ("constant", 0.0)
    assert advice.suggest(LINES, 1, schedule="constant").training.min_learning_rate == 0.0


def test_documents_that_are_longer_than_the_block(speed):
    """If a few documents are too long, they are split; if most are, the data are one text."""
    few = advice.suggest("\n".join([*["emma", "olivia"] * 200, "x" * 60]), 1)
    assert (few.config.block_size, few.long_docs) == (7, "split")
    assert advice.suggest("emma", 1, block_size=1).long_docs == "truncate"  # the block is too small for pieces
    text = advice.suggest("a b" * 1000, 1)
    assert (text.config.documents, text.config.block_size, text.long_docs, len(text.docs)) == ("text", 32, "truncate", 1)
    assert [advice.block_size(docs, kind) for docs, kind in ((["a" * 999], "lines"), (["emma", "ava"], "lines"), (["a"], "text"))] == [
        256,
        5,
        64,
    ]


@pytest.mark.parametrize("engine", ["fast", "exact"])
@pytest.mark.parametrize("text", [NAMES, "x", "to be or not to be\n" * 99, "ab " * 400], ids=["names", "x", "lines", "text"])
def test_a_suggestion_can_be_trained(text, engine):
    chosen = microgpt.suggest(text, seconds=0.05, engine=engine, num_steps=20)
    run = microgpt.train(**chosen._asdict())
    assert len(run.losses) == 20 and run.losses[-1] < run.losses[0] or text == "x"


@pytest.mark.parametrize(
    "arguments, error, message",
    [
        ((["emma"],), TypeError, "text must be a string, not .*; load_docs"),
        ((" \n",), ValueError, "there is nothing to train on; give a text that is not blank"),
        (("x", 0), ValueError, "seconds must be more than 0 and finite, not 0"),
        (("x", "5m"), TypeError, "seconds must be a number, not '5m'"),
        (("x", 1, 1, {"n_embed": 3}), TypeError, "there is no option 'n_embed'; choose from n_layer, n_embd"),
        (("x", 1, 1, {"documents": "words"}), ValueError, "documents must be one of lines, paragraphs, text"),
        (("x", 1, 1, {"engine": "slow"}), ValueError, "engine must be one of python"),
    ],
)  # fmt: skip
def test_what_is_refused(arguments, error, message):
    *arguments, given = arguments if isinstance(arguments[-1], dict) else (*arguments, {})
    with pytest.raises(error, match=message):
        advice.suggest(*arguments, **given)


# ---- On the command line ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options", [[], ["--engine", "exact", "--n-layer", "2", "--block-size", "auto", "--val-fraction=0.2"], ["--documents=text"]], ids=str
)
def test_the_command_that_is_told_gives_the_same_run(folder, capsys, options):
    assert main(["train", "docs.txt", "--auto", "--time", "0.1s", "--out", "model", *options]) == 0
    output = capsys.readouterr()
    [command] = re.findall("^microgpt: chosen: microgpt (train docs.txt .*)$", output.err, re.MULTILINE)
    assert "auto" not in command and "--time" not in command and re.search(r" --scale-init --steps \d+ ", command)
    saved = Path("model").read_bytes()
    assert main(shlex.split(command)) == 0
    again = capsys.readouterr()
    assert again.out == output.out and again.err == output.err.partition("\n")[2] and Path("model").read_bytes() == saved


def test_the_block_size_alone(folder, capsys):
    """All other settings keep their defaults."""
    assert main(["train", "docs.txt", "--block-size", "auto", "--steps", "3"]) == 0
    output = capsys.readouterr()
    assert output.err.startswith("microgpt: chosen: microgpt train docs.txt --steps 3 --block-size 9\n")
    run = microgpt.train(TEN_NAMES, GPTConfig(block_size=9), microgpt.TrainConfig(3))
    assert f"step    3 /    3 | loss {run.losses[-1]:.4f}\n" in output.out
    assert main(["inspect", "docs.txt", "--block-size=auto", "--steps=1"]) == 0
    assert "\nblock_size 9  cuts nothing\n" in capsys.readouterr().out
    assert main(["inspect", "docs.txt", "--block-size=auto", "--steps=1", "--documents=text"]) == 0
    assert "\nblock_size 64 " in capsys.readouterr().out


def test_where_options_are_put():
    chosen = {"n_layer": 2, "scale_init": True, "zero_init_out": False, "engine": "fast", "long_docs": "split"}
    flags = ["--n-layer", "2", "--scale-init", "--no-zero-init-out", "--engine", "fast", "--long-docs", "split"]
    for argv, kept in (
        (["train", "--auto", "x", "--time", "1m", "--block-size", "auto"], ["train", "x"]),
        (
            ["train", "--time=1m", "--block-size=auto", "--block-size", "3", "--auto", "--seed=1"],
            ["train", "--block-size", "3", "--seed=1"],
        ),
    ):
        assert automatic.explicit(argv, chosen) == kept + flags
    assert automatic.explicit(["train", "--auto", "--", "--auto"], chosen) == ["train", *flags, "--", "--auto"]


@pytest.mark.parametrize(
    "argv, message",
    [
        (["--time", "1m"], "--time is the training time for --auto; give --auto too, or --steps instead of --time"),
        (["--auto", "--preset", "first"], "--auto chooses settings that --preset determines; omit one of them"),
        (["--auto", "--init", "m"], "--auto chooses settings that --init determines; omit one of them"),
        (["--block-size", "auto", "--resume", "m"], "the model of --resume determines the block size; omit --block-size"),
        (["--block-size", "small"], "--block-size: must be a whole number or auto, not 'small' (see microgpt train --help)"),
        (["--auto", "--time", "1d"], "--time: must be a time, such as 30s, 5m or 1h, not '1d' (see microgpt train --help)"),
        (["--auto", "--time", "0"], "--time: must be a time, such as 30s, 5m or 1h, not '0' (see microgpt train --help)"),
        (["--auto", "--n-embd", "9", "--n-head", "2"], "--n-embd 9 is not divisible by --n-head 2: .*"),
        (["--auto", "--warmup-steps", "300"], "--warmup-steps 300 leaves none of the --steps 200 after the warm-up; .*"),
    ],
)  # fmt: skip
def test_refusals(folder, capsys, argv, message):
    assert main(["train", "docs.txt", *argv]) == 2
    pattern = message if message.endswith(".*") else re.escape(message)
    assert re.fullmatch(f"microgpt: error: {pattern}\n", capsys.readouterr().err)


@pytest.mark.parametrize("text, seconds", [("90", 90), ("90s", 90), ("1.5m", 90), ("2h", 7200)])
def test_durations(text, seconds):
    from microgpt.cli.commands import duration

    assert duration(text) == seconds
