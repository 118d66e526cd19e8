"""The programs of the README, and one call of each public function: mypy and pyright must find nothing wrong. Nothing here is run."""

import random

import microgpt
from microgpt import GPT, EvalConfig, GPTConfig, Run, Step, Tokenizer, TrainConfig, Value

docs: list[str] = microgpt.load_docs("names")
run: Run = microgpt.train(docs)
names: list[str] = run.generate(5)
print(round(run.losses[-1], 4), names)

run = microgpt.train(docs, GPTConfig(n_layer=2, n_embd=32), TrainConfig(num_steps=5000), seed=3)
print(run.model.generate(5, temperature=0.8, prompt="ka"))
loss_of_emma: float = run.model.loss("emma")
print(loss_of_emma, run.model.state_dict()["wte"].shape)

a, b = Value(2.0), Value(-3.0)
c: Value = (a * b + 10).relu() ** 2 / a.exp()
c.backward()
print(c, a.grad, b.grad)

loss, weights = run.model.loss_graph("emma")
loss.backward()
microgpt.draw(loss, names=weights, to=weights["wte"][4][5]).save("path.dot")


def report(step: Step) -> bool:
    return step.loss < 2.0 and step.val_loss is not None


evaluated = microgpt.train(docs, evaluation=EvalConfig(val_fraction=0.1), callback=report, engine="fast", threads=2)
run.train(progress=True)
run.explore("names").save("names.html")
page: str = run.model.explore().html
microgpt.train(docs, progress=True).train(progress=lambda: print(len(run.losses)))
evaluated.save("names.safetensors")
best: tuple[int, float] = evaluated.best
model: GPT = microgpt.load("names.safetensors")
fresh: GPT = GPT.init(GPTConfig(), Tokenizer.from_docs(docs), random.Random(42))
temperature: float = microgpt.PRESETS["first"].temperature
suggestion: microgpt.Suggestion = microgpt.suggest("\n".join(docs), seconds=5)
text: str = fresh.to_json()
