"""Mistakes that a type checker must find: each ignored line has one, and both checkers report unnecessary ignores."""

import microgpt

docs = microgpt.load_docs("names")
microgpt.train(docs, steps=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
microgpt.train(3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
microgpt.train(docs, seed="3")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
microgpt.train(docs, microgpt.TrainConfig())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
microgpt.GPTConfig(n_layers=2)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
microgpt.GPTConfig().n_embd = 3  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
microgpt.load("model.safetensors").generate(temprature=0.5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
first: int = microgpt.train(docs).losses  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
microgpt.no_such_name()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
