"""`--resume --steps N`: a finished run continues, and every step has the documented learning rate."""

from command_line import SMALL, fail, succeed
from command_line import TEN_NAMES as DOCS

import microgpt
from microgpt import EvalConfig, GPTConfig, TrainConfig
from microgpt.training import start

CONFIG = GPTConfig(n_embd=4, n_head=2, block_size=6)


def steps_in(path):
    return len(start(DOCS, resume=path).losses)


def test_more_steps_for_a_finished_run(folder, engine):
    """Steps done stay; each remaining one has the learning rate of a run with the new number of steps, as computed by hand."""
    from microgpt import reference

    first = microgpt.train(DOCS, CONFIG, TrainConfig(num_steps=6), engine=engine)
    first.save("run")
    more = microgpt.train(DOCS, training=TrainConfig(num_steps=9), resume="run")
    assert more.losses[:6] == first.losses and len(more.losses) == 9 and more.model.engine.name == engine
    assert more.extended == [(6, TrainConfig(num_steps=6))]
    rates = [TrainConfig(num_steps=6).lr(step) for step in range(6)] + [TrainConfig(num_steps=9).lr(step) for step in range(6, 9)]
    assert [more.lr(step) for step in range(9)] == rates and rates[6] > rates[5] > 0

    by_hand = start(DOCS, CONFIG, TrainConfig(num_steps=9), engine="python")
    weights = by_hand.model.to_values(reference.Value)
    values = [value for matrix in weights.values() for row in matrix for value in row]
    training = TrainConfig()
    adam = reference.Adam(values, training.learning_rate, training.beta1, training.beta2, training.eps)
    losses = []
    for step, rate in enumerate(rates):
        loss = reference.batch_loss([by_hand.corpus[step % len(DOCS)]], weights, CONFIG)
        loss.backward()
        adam.step(rate)
        losses.append(loss.data)
    if engine != "fast":
        assert losses == more.losses and [value.data for value in values] == list(more.model.params)

    # stopped and extended again, it is the same run
    more.save("run")
    microgpt.train(DOCS, training=TrainConfig(num_steps=12), resume="run", callback=lambda step: step.step == 10).save("run")
    last = microgpt.train(DOCS, resume="run")
    at_once = microgpt.train(DOCS, training=TrainConfig(num_steps=12), resume=saved_again(more))
    assert last.losses == at_once.losses and bytes(last.model.params) == bytes(at_once.model.params)
    assert last.extended == at_once.extended == [(6, TrainConfig(num_steps=6)), (9, TrainConfig(num_steps=9))]


def saved_again(run):
    run.save("again")
    return "again"


def test_more_steps_on_the_command_line(folder):
    succeed("train", "docs.txt", "--steps", 12, *SMALL, "--out", "run", "--log", "log.csv", "--val-fraction", 0.2, "--eval-every", 5)
    printed = succeed("train", "docs.txt", "--resume", "run", "--steps", 20, "--log", "log.csv")
    assert [line[:16] for line in printed.splitlines() if line.startswith("step")] == [f"step {i:4} /   20" for i in range(13, 21)]
    rows = [line.split(",") for line in (folder / "log.csv").read_text().splitlines()[1:]]
    assert [float(row[3]) for row in rows] == [TrainConfig(num_steps=12).lr(i) for i in range(12)] + [
        TrainConfig(num_steps=20).lr(i) for i in range(12, 20)
    ]
    assert [int(row[0]) for row in rows if row[4]] == [5, 10, 12, 15, 20]
    assert fail("train", "docs.txt", "--resume", "run", "--steps", 19) == ("'run' has done 20 steps; --steps must be at least 20, not 19")
    assert steps_in("run") == 20
    succeed("train", "docs.txt", "--steps", 30, *SMALL, "--out", "run", "--val-fraction", 0.2, "--eval-every", 5, "--patience", 90)
    assert "ended with the weights of its best held-out loss" in fail("train", "docs.txt", "--resume", "run", "--steps", 40)


def test_another_number_of_steps_twice_with_no_step_between(folder):
    microgpt.train(DOCS, CONFIG, TrainConfig(num_steps=12)).save("run")
    for num_steps in (20, 30, 12, 25):
        start(DOCS, training=TrainConfig(num_steps=num_steps), resume="run").save("run")
    run = start(DOCS, resume="run")
    assert run.extended == [(12, TrainConfig(num_steps=12))] and run.training.num_steps == 25


def test_fewer_steps_for_a_run_that_is_not_finished(folder):
    microgpt.train(DOCS, CONFIG, TrainConfig(num_steps=12), callback=lambda step: step.step == 4).save("run")
    run = microgpt.train(DOCS, training=TrainConfig(num_steps=6), resume="run")
    assert run.finished and len(run.losses) == 6 and run.lr(5) == TrainConfig(num_steps=6).lr(5)
    start(DOCS, CONFIG, TrainConfig(num_steps=12)).save("run")
    assert start(DOCS, training=TrainConfig(num_steps=6), resume="run").extended == []  # it had no steps yet


def test_a_run_with_patience_that_is_made_to_end_where_it_is_has_its_best_weights(folder):
    evaluation, training = EvalConfig(0.3, 5, patience=50), TrainConfig(num_steps=60)
    run = start(DOCS, CONFIG, training, evaluation=evaluation)
    run.train(callback=lambda step: step.step == 40)
    run.save("run")
    run = start(DOCS, training=TrainConfig(num_steps=40), resume="run")
    assert run.best[0] < 40 and run.evaluate() > run.best[1]
    run.train()
    assert run.finished and run.evaluate() == run.best[1]
