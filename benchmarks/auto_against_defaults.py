"""`microgpt train DATA --auto` beside the defaults: loss per character on held-out text, for the same time, on many kinds of data.

    python benchmarks/auto_against_defaults.py [--seconds 6] [KIND ...]

The last tenth of each text is held out, up to some 10,000 characters; both train on what comes before. The defaults are those of
`microgpt train DATA`: lines, 16 characters, the engine exact, with as many steps as they do in the processor's time that --auto took; its
calibration counts as training. "fast" is the same with `--engine fast`. All use one thread.

The loss is that of all characters held out, in nats, divided by their number: each is predicted from what the model sees before it, as when
it writes on (GPT.scores), so that models of lines, of paragraphs and of texts can be compared. The end of a line or a paragraph
counts as its line break. What a model does not see costs it nothing (blank lines, and blanks at the ends of lines, where documents are
lines), and neither does the end of a document longer than its block: both favour the defaults. Characters that only the held-out
part has are left out.

Texts are made from what a Python has and by the functions below, and Shakespeare is downloaded once; prints a table, and a JSON object as
last line.
"""

import argparse
import json
import math
import random
import sys
import sysconfig
import time
import unicodedata
from dataclasses import replace
from itertools import accumulate, islice
from pathlib import Path

from microgpt import GPTConfig, TrainConfig, advice, load_docs
from microgpt.corpus.loading import DOCUMENTS
from microgpt.proof import bench
from microgpt.training import start

HELD_OUT = 10_000  # characters
TRIAL = 0.1  # share of the time in which it is found out how many steps the defaults do
LIBRARY = Path(sysconfig.get_path("stdlib"))

KINDS = {}  # name -> function that makes the text


def kind(make):
    KINDS[make.__name__.replace("_", " ")] = make
    return make


# ---- What there is ---------------------------------------------------------------------------------------------------


def shakespeare():
    return load_docs("shakespeare", "text")[0]


def sources(*names):
    return "\n".join((LIBRARY / name).read_text(encoding="utf-8") for name in names)


def identifiers():
    words = {word for path in sorted(LIBRARY.glob("*.py"))[:120] for word in path.read_text("utf-8", "replace").split() if word.isidentifier()}
    return shuffled(word for word in words if 2 < len(word) < 30)


def shuffled(docs):
    docs = sorted(docs)
    random.Random(0).shuffle(docs)
    return docs


@kind
def names():
    return "\n".join(shuffled(load_docs("names")))


@kind
def two_hundred_names():
    return "\n".join(shuffled(load_docs("names"))[:200])


@kind
def a_play():
    return shakespeare()


@kind
def a_scene():
    return shakespeare()[200_000:230_000]


@kind
def verses():
    """Speeches of Shakespeare as paragraphs, short ones."""
    return "\n\n".join(speech for speech in shakespeare().split("\n\n") if 40 < len(speech) < 250)


@kind
def one_line():
    return " ".join(shakespeare()[:300_000].split())


@kind
def words():
    return "\n".join(shuffled({word.strip(".,;:!?'&-").lower() for word in shakespeare().split()} - {""}))


@kind
def Greek_letters():
    """Shakespeare's words, transliterated."""
    letters = dict(zip("abcdefghiklmnopqrstuwxyz", "αβκδεφγηικλμνοπθρστυωξψζ"))
    return "".join(letters.get(char, char) for char in shakespeare()[:200_000].lower())


@kind
def Hangul_syllables():
    """Words as blocks of a large alphabet: two letters make a character."""
    found = [word.lower() for word in shakespeare()[:250_000].split() if word.isalpha() and word.isascii()]
    pairs = [[word[i : i + 2] for i in range(0, len(word), 2)] for word in found]
    return "\n".join("".join(chr(0xAC00 + 588 * ((ord(p[0]) - 97) % 19) + 28 * ((ord(p[-1]) - 97) % 21)) for p in word) for word in pairs)


@kind
def Python_source():
    return sources("argparse.py", "ast.py", "inspect.py", "typing.py", "tarfile.py", "zipfile.py", "turtle.py")


@kind
def identifiers_of_Python():
    return "\n".join(identifiers())


@kind
def a_licence():
    return (Path(sysconfig.get_path("stdlib")) / "LICENSE.txt").read_text("utf-8")


@kind
def names_of_characters():
    return "\n".join(shuffled({unicodedata.name(chr(i), "") for i in range(0x3000)} - {""}))


# ---- What a few lines make -----------------------------------------------------------------------------------------------


@kind
def sums():
    rng = random.Random(1)
    return "\n".join(f"{a}+{b}={a + b}" for a, b in ((rng.randrange(100), rng.randrange(100)) for _ in range(20_000)))


@kind
def dates():
    rng = random.Random(2)
    return "\n".join(
        time.strftime("%A, %d %B %Y", time.gmtime(rng.randrange(2**31))) for _ in range(8_000)
    )


@kind
def phone_numbers():
    rng = random.Random(3)
    areas = [f"+{rng.randrange(1, 99)} {rng.randrange(100, 999)}" for _ in range(50)]
    return "\n".join(f"{rng.choice(areas)} {rng.randrange(10**7):07d}" for _ in range(5_000))


@kind
def rows_of_CSV():
    rng, people, towns = random.Random(4), load_docs("names"), shuffled(load_docs("names"))[:40]
    row = lambda i: f"{i},{rng.choice(people).title()},{rng.choice(towns).title()}ville,{rng.gauss(40, 12):.1f},{rng.choice(['yes', 'no'])}"  # noqa: E731
    return "\n".join(map(row, range(1000, 9000)))


@kind
def lines_of_JSON():
    rng, people = random.Random(5), load_docs("names")
    return "\n".join(
        json.dumps({"id": rng.randrange(10**6), "user": rng.choice(people), "tags": rng.sample(["new", "paid", "late", "gift"], 2),
                    "price": round(rng.expovariate(0.02), 2), "ok": rng.random() < 0.8})
        for _ in range(5_000)
    )  # fmt: skip


@kind
def a_log():
    rng, paths, clock = random.Random(6), [f"/{a}/{b}.html" for a in ("docs", "blog", "shop") for b in identifiers()[:20]], 1.7e9
    lines = []
    for _ in range(6_000):
        clock += rng.expovariate(0.1)
        stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(clock))
        lines.append(f"{stamp} 10.0.{rng.randrange(4)}.{rng.randrange(256)} GET {rng.choice(paths)} {rng.choices([200, 404, 500], [90, 8, 2])[0]}")
    return "\n".join(lines)


def chain(rng, states, length, branching=4):
    """A string of a Markov chain of the second order, in which a few letters follow each pair."""
    after, text = {}, "".join(rng.choices(states, k=2))
    while len(text) < length:
        nexts = after.setdefault(text[-2:], (rng.choices(states, k=branching), [2.0**-i for i in range(branching)]))
        text += rng.choices(*nexts)[0]
    return text


@kind
def proteins():
    text, rng = chain(random.Random(7), "ACDEFGHIKLMNPQRSTVWY", 200_000), random.Random(8)
    cuts = [0, *islice(accumulate(iter(lambda: rng.randrange(60, 400), 0)), 860)]
    return "\n".join(text[a:b] for a, b in zip(cuts, cuts[1:]) if b <= len(text))


@kind
def DNA():
    rng = random.Random(9)
    return "\n".join(chain(rng, "ACGT", rng.randrange(30, 90), 3) for _ in range(3_000))


@kind
def moves_of_games():
    """Rooks on an empty board: each move starts where the last one ended, in turns."""
    rng, games = random.Random(10), []
    for _ in range(2_500):
        at, moves = ["a1", "h8"], []
        for turn in range(rng.randrange(4, 16)):
            file, rank = at[turn % 2]
            to = rng.choice([f + rank for f in "abcdefgh" if f != file] + [file + r for r in "12345678" if r != rank])
            moves.append(at[turn % 2] + to)
            at[turn % 2] = to
        games.append(" ".join(moves))
    return "\n".join(games)


@kind
def melodies():
    """Tunes in the notation ABC: walks on a scale, in bars of eight."""
    rng, scale, tunes = random.Random(11), "CDEFGABcdefgab", []
    for number in range(1_200):
        place, bars = 5, []
        for _ in range(4):
            steps = [place := min(13, max(0, place + rng.choice([-2, -1, -1, 0, 1, 1, 2]))) for _ in range(8)]
            bars.append("".join(scale[step] for step in steps))
        tunes.append(f"X:{number % 50}\nK:{rng.choice('CDG')}\n{'|'.join(bars[:2])}|\n{'|'.join(bars[2:])}|]")
    return "\n\n".join(tunes)


# ---- Training and measuring ------------------------------------------------------------------------------------------


def split(text):
    """(text to train on, text held out): cut at a line's end where there is one near."""
    at = len(text) - min(len(text) // 10, HELD_OUT)
    at = text.find("\n", at, at + 2_000) + 1 or at
    known = set(text[:at])
    return text[:at], "".join(char for char in text[at:] if char in known)


def loss(model, text):
    """Nats a character, see above."""
    docs = DOCUMENTS[model.config.documents](text)
    return -math.fsum(math.log(max(p, 1e-300)) for doc in docs for p in model.scores(doc)) / len(text)


def trained(text, config, training, engine, long=None):
    """(the model, the processor's seconds that its steps took)."""
    run = start(DOCUMENTS[config.documents](text), config, training, engine=engine, long=long)
    started = time.process_time()
    run.model.engine.train(run.corpus, range(training.num_steps), training, run.losses)
    return run.model, time.process_time() - started


def by_auto(text, seconds):
    started = time.process_time()
    advised = advice.suggest(text, seconds)
    calibrated = time.process_time() - started
    model, spent = trained(text, advised.config, advised.training, advised.engine, advised.long)
    return model, calibrated + spent, advised


def by_default(text, engine, seconds):
    """The defaults, with as many steps as take so long."""
    training = TrainConfig(batch_size=16 if engine == "fast" else 1, num_steps=100)
    spent = 0.0
    while spent < TRIAL * seconds:
        training = replace(training, num_steps=2 * training.num_steps)
        _, spent = trained(text, GPTConfig(), training, engine)
    return trained(text, GPTConfig(), replace(training, num_steps=round(training.num_steps * seconds / spent)), engine)


def summary(advised):
    """The choices in short."""
    config, training = advised.config, advised.training
    cut = f" ({advised.long})" if advised.long != "truncate" else ""
    return (f"{config.documents}{cut}, block {config.block_size}, {config.n_layer} x {config.n_embd}, "
            f"{training.num_steps:,} steps of {training.batch_size}, {training.learning_rate:g}, decay {training.weight_decay:g}")  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"of {', '.join(KINDS)} (default: all)")
    parser.add_argument("--seconds", type=float, default=6, help="what --auto is told (default: %(default)g)")
    args = parser.parse_args()
    unknown = set(args.kinds) - set(KINDS)
    if unknown:
        sys.exit(f"there is no kind {min(unknown)!r}; choose from {', '.join(KINDS)}")
    advice.clock = time.process_time  # so that other work on this machine changes no choice
    print("\n".join(f"{name:15} {fact}" for name, fact in bench.machine().items()))
    print(f"\n{'':22}{'characters':>10} {'seconds':>8} {'auto':>7} {'default':>8} {'fast':>7}  what --auto chose")
    rows = []
    for name in args.kinds or KINDS:
        text, held_out = split(KINDS[name]())
        model, seconds, advised = by_auto(text, args.seconds)
        others = [by_default(text, engine, seconds) for engine in ("exact", "fast")]
        losses = [loss(each, held_out) for each in (model, *(other for other, _ in others))]
        rows.append({"kind": name, "characters": len(text), "seconds": [seconds, *(spent for _, spent in others)], "losses": losses,
                     "options": summary(advised)})  # fmt: skip
        auto, default, fast = losses
        print(f"{name:22}{len(text):10,} {seconds:8.1f} {auto:7.3f} {default:8.3f} {fast:7.3f}  {summary(advised)}", flush=True)
    better = sum(row["losses"][0] < min(row["losses"][1:]) for row in rows)
    print(f"\n--auto is better than both on {better} of {len(rows)}")
    print(json.dumps({"machine": bench.machine(), "rows": rows}))


if __name__ == "__main__":
    main()
