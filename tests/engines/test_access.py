"""A model used by many threads: they read at a time, one trains, and none gets what is half done."""

import os
import random
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from command_line import posix

from microgpt import EvalConfig, GPTConfig, TrainConfig, train
from microgpt.compiled.access import Access
from microgpt.engines import ENGINES
from microgpt.training import start

DOCS = ["emma", "olivia", "ava", "isabella", "sophia", "mia", "amelia", "harper"] * 5
SMALL = GPTConfig(n_embd=8, n_head=2, block_size=8)
SMALLER = GPTConfig(n_embd=4, n_head=2, block_size=8)  # for pure Python
CALLS = {"python": 14, "graph": 280, "exact": 4000, "fast": 4000}


@pytest.fixture(autouse=True)
def often():
    """Threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def in_thread(work):
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def joined(thread):
    thread.join(60)
    return not thread.is_alive()


# ---- Readers ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=ENGINES)
def model(request):
    return train(DOCS, SMALLER if request.param == "python" else SMALL, TrainConfig(num_steps=3), engine=request.param).model


def answer(model, request):
    """What a model says to request number so and so."""
    kind, text = request % 7, DOCS[request % len(DOCS)]
    if kind == 0:
        return model.generate(2, seed=request, prompt=text[:2], top_k=5)
    if kind == 1:
        return model.generate_from(random.Random(request), 2, 1.5)
    if kind == 2:
        return list(model.portions(3, seed=request, top_p=0.9 if request % 2 else None))
    if kind == 3:
        return model.loss(text).hex()
    if kind == 4:
        return model.scores(text)
    if kind == 5:
        return model.logits(text[:4])
    return model.generate(1, seed=request, engine="exact" if model.engine.name != "exact" else "fast")


def test_many_readers_get_what_one_gets(model):
    requests = range(CALLS[model.engine.name])
    expected = [answer(model, request) for request in requests[:280]]
    with ThreadPoolExecutor(8) as threads:
        for request, got in zip(requests, threads.map(lambda request: answer(model, request % 280), requests)):
            assert got == expected[request % 280]


def test_decoders_are_used_again():
    engine = train(DOCS, SMALL, TrainConfig(num_steps=1)).model.engine
    for i in range(20):
        engine.generate(random.Random(i), 5)
        engine.loss([0, 1, 0])
    assert len(engine._idle) == 1


# ---- Training --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ENGINES)
def test_a_second_training_is_refused(name):
    steps = 2 if name == "python" else 60
    training = TrainConfig(num_steps=steps, batch_size=2)
    expected = train(DOCS, SMALL, training, engine=name).losses
    run, refused = start(DOCS, SMALL, training, engine=name), []

    def second(step):
        def work():
            with pytest.raises(RuntimeError, match="^this model is in training already; wait until that has ended, or train a copy$"):
                run.train()
            refused.append(step.step)

        assert joined(in_thread(work))
        with pytest.raises(RuntimeError, match="already"):  # nor by its own callback
            run.train()

    run.train(second)
    assert run.losses == expected and len(refused) == steps
    run.train()  # it has ended, so this is no second one
    with pytest.raises(KeyError):
        start(DOCS, SMALL, training).train(lambda step: {}[0])
    run = start(DOCS, SMALL, training, engine=name)
    with pytest.raises(KeyError):
        run.train(lambda step: {}[0])
    run.train()  # nor is this, after an error
    assert run.losses == expected


@pytest.mark.parametrize("name", ENGINES)
def test_reading_while_another_thread_trains(name):
    """Every loss is that of the weights after some whole step, and reading and training both go on."""
    steps = {"python": 6, "graph": 40}.get(name, 400)
    training, text, config = TrainConfig(num_steps=steps, batch_size=1), "isabella", SMALLER if name == "python" else SMALL
    run, possible, seen, generated = start(DOCS, config, training, engine=name), [], [], []
    possible.append(run.model.loss(text))
    run.train(lambda step: possible.append(run.model.loss(text)))
    run = start(DOCS, config, training, engine=name)

    def wait_for_readers(step):  # who get no turn in a short run on a busy machine
        while len(seen) < min(step.step, 3):
            time.sleep(0.001)

    thread = in_thread(lambda: run.train(wait_for_readers))
    while thread.is_alive():
        seen.append(run.model.loss(text))
        generated += run.model.generate(1, seed=1)
    assert joined(thread) and len(run.losses) == steps
    assert len(seen) > 2 and set(seen) <= set(possible) and generated
    assert run.model.loss(text) == possible[-1]


def test_readers_do_not_see_weights_that_are_replaced():
    """At the end of a run with patience its best weights come back, as a change of its own."""
    changes = []

    class Recorder(Access):
        def changing(self):
            changes.append(len(run.losses))
            return super().changing()

    evaluation = EvalConfig(0.3, eval_every=4, patience=2)
    run = start(DOCS, SMALL, TrainConfig(num_steps=400, learning_rate=0.3), evaluation=evaluation)
    run.model.engine.access = Recorder()
    run.train(lambda step: None)
    assert run.stopped_early and changes == [*range(len(run.losses)), len(run.losses)]


def test_two_trainings_in_plain_python_at_a_time():
    """Python's limit of recursion is one for all threads."""
    limit, training = sys.getrecursionlimit(), TrainConfig(num_steps=2)
    expected = train(DOCS, SMALLER, training, engine="python").losses
    with ThreadPoolExecutor(4) as threads:
        runs = list(threads.map(lambda _: train(DOCS, SMALLER, training, engine="python"), range(4)))
    assert all(run.losses == expected for run in runs) and sys.getrecursionlimit() == limit


def test_a_run_is_not_saved_while_another_thread_trains_it(tmp_path):
    run, path = start(DOCS, SMALL, TrainConfig(num_steps=3)), str(tmp_path / "run")

    def from_elsewhere(step):
        run.save(path)  # here it may be

        def work():
            with pytest.raises(RuntimeError, match="^another thread is training: save the run in its callback, or after"):
                run.save(path)
            refused.append(True)

        joined(in_thread(work))

    refused = []
    run.train(from_elsewhere)
    assert len(refused) == 3
    in_thread(lambda: run.save(path)).join()


# ---- Access ----------------------------------------------------------------------------------------------------------


def test_readers_read_at_a_time_and_who_changes_waits_for_them():
    access, order, go_on = Access(), [], threading.Event()

    def change():
        with access.changing():
            order.append("change")
            go_on.wait(10)

    def read(name):
        with access.reading():
            order.append(name)

    with access.reading():
        assert joined(in_thread(lambda: read("beside")))
        changer = in_thread(change)
        time.sleep(0.05)
        later = in_thread(lambda: read("later"))
        time.sleep(0.05)
        assert order == ["beside"]  # who waits to change them comes before later readers
        with pytest.raises(RuntimeError, match="already"), access.changing():
            pass
        order.append("end")
    time.sleep(0.05)
    with pytest.raises(RuntimeError, match="already"), access.changing():
        pass
    go_on.set()
    assert joined(changer) and joined(later)
    assert order == ["beside", "end", "change", "later"]


def test_readers_come_before_the_next_change():
    access, changes, read = Access(), [0], []

    def change():
        while len(read) < 50 and changes[0] < 1_000_000:
            with access.changing():
                changes[0] += 1
                time.sleep(0)

    changer = in_thread(change)
    for _ in range(50):
        with access.reading():
            read.append(changes[0])
    assert joined(changer) and changes[0] < 10_000


def test_who_would_wait_for_itself_is_told():
    access = Access()
    with access.changing():
        with pytest.raises(RuntimeError, match="read them after that"), access.reading():
            pass
    with access.reading():
        pass


@posix
@pytest.mark.parametrize("wanted", ["reading", "changing"])
def test_ctrl_c_leaves_nothing_taken(wanted):
    access, release, held = Access(), threading.Event(), threading.Event()

    def hold():
        with access.changing() if wanted == "reading" else access.reading():
            held.set()
            release.wait(10)

    holder = in_thread(hold)
    held.wait()
    main = threading.get_ident()
    in_thread(lambda: [time.sleep(0.1), signal.pthread_kill(main, signal.SIGINT)])
    with pytest.raises(KeyboardInterrupt), getattr(access, wanted)():
        pytest.fail("two at a time")
    with pytest.raises(RuntimeError) if wanted == "reading" else access.reading():  # who waited no longer waits
        if wanted == "reading":
            access.changing().__enter__()
    release.set()
    assert joined(holder)
    with access.changing():
        pass
    with access.reading():
        pass


@posix
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_fork_waits_for_no_thread_that_is_not_in_it():
    run = start(DOCS, SMALL, TrainConfig(num_steps=3))
    access, release, held = run.model.engine.access, threading.Event(), threading.Event()

    def in_child(work):
        child = os.fork()
        if child == 0:
            signal.alarm(20)
            os._exit(0 if work() else 1)
        return os.waitpid(child, 0)[1]

    def hold(guard):
        with guard:
            held.set()
            release.wait(10)

    def refused():
        with pytest.raises(RuntimeError, match="forked"):
            run.model.loss("emma")
        with pytest.raises(RuntimeError, match="forked"):
            run.train()
        return True

    for guard, work in [
        (access.reading(), lambda: run.train() is None and len(run.losses) == 3),
        (access.training(), lambda: run.train() is None and len(run.losses) == 3),
        (access.changing(), refused),
    ]:
        release.clear(), held.clear()
        holder = in_thread(lambda guard=guard: hold(guard))
        held.wait()
        status = in_child(work)
        release.set()
        assert joined(holder) and status == 0
    run.train()
    assert len(run.losses) == 3
