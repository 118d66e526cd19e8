import pytest
from saved_files import CONFIG, DOCS, TRAINING

from microgpt import EvalConfig, train


@pytest.fixture(scope="session")
def saved(tmp_path_factory):
    """The bytes of a run that was stopped after 5 steps."""
    path = tmp_path_factory.mktemp("saved") / "run.safetensors"
    run = train(DOCS, CONFIG, TRAINING, evaluation=EvalConfig(0.2, 4), callback=lambda step: step.step == 5)
    run.save(path)
    return path.read_bytes()
