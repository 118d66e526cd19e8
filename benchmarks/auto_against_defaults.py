"""Compares `microgpt train DATA --auto` with the defaults: loss per character on held-out text, for the same time, on many kinds of data.

    python benchmarks/auto_against_defaults.py [--seconds 5] [--engine exact] [KIND ...]

The last tenth of each text is held out, 1,500 to 10,000 characters; both train on the rest, on one thread, and take turns. The
defaults are those of `microgpt train DATA [--engine fast]`: lines, of which the block covers 16 characters. They do as many steps as they
can in the processor time that --auto takes, including its calibration and its reading of the data.

The loss is the sum over all held-out characters, in nats, divided by their number. Each character is predicted from the context that the
model sees when it continues a text (GPT.scores), so models of lines, paragraphs and texts can be compared. The end of a line or a
paragraph counts as its line break. Text that a model does not see costs nothing (blank lines, and blanks at the ends of lines, if documents
are lines), and neither does the end of a document longer than its block; both favour the defaults. Characters that occur only in the
held-out part are omitted.

Texts come from Python's own files and from the functions below; Shakespeare is downloaded once. Prints a table, and a JSON object as the
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
from itertools import accumulate, islice, pairwise
from pathlib import Path

from microgpt import GPTConfig, TrainConfig, advice, load_docs
from microgpt.corpus.loading import DOCUMENTS
from microgpt.proof import bench
from microgpt.training import start

HELD_OUT, FEWEST = 10_000, 1_500  # characters: at most and at least
TRIAL = 0.1  # fraction of the time spent on finding how many steps the defaults do
SLICES = 8  # of a run, which alternate with those of the other one
BATCH = {"exact": 1, "fast": 16}  # engine -> the defaults' batch_size
LIBRARY = Path(sysconfig.get_path("stdlib"))

KINDS = {}  # name -> function that makes the text


def kind(make):
    KINDS[make.__name__.replace("_", " ")] = make
    return make


# ---- Existing texts ---------------------------------------------------------------------------------------------------


def shakespeare():
    return load_docs("shakespeare", "text")[0]


def sources(*names):
    return "\n".join((LIBRARY / name).read_text(encoding="utf-8") for name in names)


def identifiers():
    words = {
        word for path in sorted(LIBRARY.glob("*.py"))[:120] for word in path.read_text("utf-8", "replace").split() if word.isidentifier()
    }
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
    return "\n".join(shuffled(load_docs("names"))[:450])


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


# ---- Generated texts -----------------------------------------------------------------------------------------------


@kind
def sums():
    rng = random.Random(1)
    return "\n".join(f"{a}+{b}={a + b}" for a, b in ((rng.randrange(100), rng.randrange(100)) for _ in range(20_000)))


@kind
def dates():
    rng = random.Random(2)
    return "\n".join(time.strftime("%A, %d %B %Y", time.gmtime(rng.randrange(2**31))) for _ in range(8_000))


@kind
def phone_numbers():
    rng = random.Random(3)
    areas = [f"+{rng.randrange(1, 99)} {rng.randrange(100, 999)}" for _ in range(50)]
    return "\n".join(f"{rng.choice(areas)} {rng.randrange(10**7):07d}" for _ in range(5_000))


@kind
def rows_of_CSV():
    rng, people, towns = random.Random(4), load_docs("names"), shuffled(load_docs("names"))[:40]
    return "\n".join(
        f"{i},{rng.choice(people).title()},{rng.choice(towns).title()}ville,{rng.gauss(40, 12):.1f},{rng.choice(['yes', 'no'])}"
        for i in range(1000, 9000)
    )


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
        lines.append(
            f"{stamp} 10.0.{rng.randrange(4)}.{rng.randrange(256)} GET {rng.choice(paths)} {rng.choices([200, 404, 500], [90, 8, 2])[0]}"
        )
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
    return "\n".join(text[a:b] for a, b in pairwise(cuts) if b <= len(text))


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
    """(text to train on, held-out text), split at the end of a line if there is one nearby."""
    at = len(text) - min(max(len(text) // 10, FEWEST), HELD_OUT)
    at = text.find("\n", at, at + 2_000) + 1 or at
    known = set(text[:at])
    return text[:at], "".join(char for char in text[at:] if char in known)


def loss(model, text):
    """Nats per character, see above."""
    docs = DOCUMENTS[model.config.documents](text)
    return -math.fsum(math.log(max(p, 1e-300)) for doc in docs for p in model.scores(doc)) / len(text)


class Racer:
    """A run that alternates with another. seconds: the processor time of its steps."""

    def __init__(self, text, config, training, engine, long_docs=None):
        self.run = start(DOCUMENTS[config.documents](text), config, training, engine=engine, long_docs=long_docs)
        self.seconds = 0.0

    def train(self, until):
        """Do the steps up to this fraction of all."""
        run, started = self.run, time.process_time()
        until = round(until * run.training.num_steps)
        run.model.engine.train(run.corpus, range(len(run.losses), until), run.training, run.losses)
        self.seconds += time.process_time() - started


def steps_in(text, engine, seconds):
    """How many steps the defaults do in this time, estimated from a few steps."""
    num_steps = 100
    while True:
        trial = Racer(text, GPTConfig(), TrainConfig(num_steps, batch_size=BATCH[engine]), engine)
        trial.train(1)
        if trial.seconds > TRIAL * seconds:
            return round(num_steps * seconds / trial.seconds)
        num_steps *= 2


def race(text, seconds, engine):
    """(the choices of --auto, its Racer, the Racer of the defaults), both trained."""
    started = time.process_time()
    chosen = advice.suggest(text, seconds)
    ours = Racer(text, chosen.config, chosen.training, chosen.engine, chosen.long_docs)
    ours.train(1 / SLICES)
    before = time.process_time() - started - ours.seconds  # the time for choosing and reading
    training = TrainConfig(steps_in(text, engine, before + SLICES * ours.seconds), batch_size=BATCH[engine])
    theirs = Racer(text, GPTConfig(), training, engine)
    for i in range(1, SLICES + 1):
        ours.train(i / SLICES)
        theirs.train(i / SLICES)
    ours.seconds += before
    return chosen, ours, theirs


def summary(chosen):
    """The choices in short."""
    config, training = chosen.config, chosen.training
    cut = f" ({chosen.long_docs})" if chosen.long_docs != "truncate" else ""
    return (f"{config.documents}{cut}, block {config.block_size}, {config.n_layer} x {config.n_embd}, "
            f"{training.num_steps:,} steps of {training.batch_size}, {training.learning_rate:g}, decay {training.weight_decay:g}")  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"of {', '.join(KINDS)} (default: all)")
    parser.add_argument("--seconds", type=float, default=5, help="the time given to --auto (default: %(default)g)")
    parser.add_argument("--engine", choices=BATCH, default="exact", help="that of the defaults (default: %(default)s)")
    args = parser.parse_args()
    unknown = set(args.kinds) - set(KINDS)
    if unknown:
        sys.exit(f"there is no kind {min(unknown)!r}; choose from {', '.join(KINDS)}")
    advice.clock = time.process_time  # so that other work on this machine changes no choice
    print("\n".join(f"{name:15} {fact}" for name, fact in bench.machine().items()))
    print(f"\n{'':22}{'characters':>10} {'seconds':>13} {'auto':>7} {'default':>8}  what --auto chose")
    rows = []
    for name in args.kinds or KINDS:
        text, held_out = split(KINDS[name]())
        chosen, *racers = race(text, args.seconds, args.engine)
        seconds, losses = [racer.seconds for racer in racers], [loss(racer.run.model, held_out) for racer in racers]
        rows.append({"kind": name, "characters": len(text), "seconds": seconds, "losses": losses, "chosen": summary(chosen)})
        print(
            f"{name:22}{len(text):10,} {seconds[0]:6.2f} {seconds[1]:6.2f} {losses[0]:7.3f} {losses[1]:8.3f}  {summary(chosen)}", flush=True
        )
    print(f"\n--auto has the lower loss on {sum(row['losses'][0] < row['losses'][1] for row in rows)} of {len(rows)}")
    print(json.dumps({"machine": bench.machine(), "rows": rows}))


if __name__ == "__main__":
    main()
