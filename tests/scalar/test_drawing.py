"""Drawn graphs: their contents, their limits, and that drawing changes nothing."""

import random
import re
import shutil
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from programs import Program

import microgpt
from microgpt import GPT, GPTConfig, Tokenizer, TrainConfig, Value, draw, reference
from microgpt.compiled import scalar
from microgpt.corpus.tokens import Corpus
from microgpt.display import drawing

GRAPHVIZ = pytest.mark.skipif(not shutil.which("dot"), reason="Graphviz is not installed")
DOCS = Path(__file__).resolve().parents[2] / "docs"


def boxes(drawn):
    """The lines of each box, and the edges as (operand's first line, result's first line, label)."""
    labels = {node: label.split(r"\n") for node, label in re.findall(r'^  (n\d+) \[label="(.*?)", tooltip', drawn.dot, re.MULTILINE)}
    edges = [
        (labels[child][0], labels[node][0], label)
        for child, node, label in re.findall(r'^  (n\d+) -> (n\d+) \[label="(.*?)"', drawn.dot, re.MULTILINE)
    ]
    return list(labels.values()), edges


def caption(drawn):
    return re.search(r'graph \[.*label="(.*?)", fontname', drawn.dot)[1]


def small_model(config=GPTConfig(n_embd=4, n_head=2, block_size=5)):
    return GPT.init(config, Tokenizer("aem"), random.Random(1))


# ---- boxes and arrows ---------------------------------------------------------------------------------------------------


def test_a_graph_in_full(layer):
    a, b = layer.Value(2.0), layer.Value(-3)
    c = a * b + a
    c.backward()
    drawn = draw(c, names={"a": a, "b": b})
    assert drawn.num_nodes == 4 and repr(drawn) == "<Drawing of 4 Values>"
    assert drawn.dot.splitlines() == [
        "digraph {",
        '  graph [rankdir=LR, label="", fontname="sans-serif"]',
        '  node [shape=box, style="rounded,filled", fillcolor=white, fontname="sans-serif", fontsize=11]',
        '  edge [fontname="sans-serif", fontsize=9, color=gray40]',
        r'  n0 [label="+\ndata -4\ngrad 1", tooltip="data -4.0, grad 1", style="rounded,filled", '
        "fillcolor=lightgoldenrod1]",
        r'  n1 [label="×\ndata -6\ngrad 1", tooltip="data -6.0, grad 1", style="rounded,filled", fillcolor=white]',
        r'  n2 [label="a\ndata 2\ngrad -2", tooltip="data 2.0, grad -2", style="rounded,filled", fillcolor=lightblue]',
        r'  n3 [label="b\ndata -3\ngrad 2", tooltip="data -3, grad 2.0", style="rounded,filled", fillcolor=lightblue]',
        '  n1 -> n0 [label="1"]',
        '  n2 -> n0 [label="1"]',
        '  n2 -> n1 [label="-3"]',
        '  n3 -> n1 [label="2"]',
        "}",
    ]


@pytest.mark.parametrize(
    "make, symbol, local_grads",
    [
        (lambda a, b: a + b, "+", ["1", "1"]),
        (lambda a, b: a * b, "×", ["0.5", "1.5"]),
        (lambda a, b: a + a, "+", ["1", "1"]),
        (lambda a, b: a * a, "×", ["1.5", "1.5"]),
        (lambda a, b: a.exp(), "exp", ["4.482"]),
        (lambda a, b: a.log(), "log", ["0.6667"]),
        (lambda a, b: a.relu(), "relu", ["1"]),
        (lambda a, b: (-a).relu(), "relu", ["0"]),
        (lambda a, b: a**3, "** 3", ["6.75"]),
        (lambda a, b: a**-0.5, "** -0.5", ["-0.2722"]),
        (lambda a, b: a**-1, "** -1", ["-0.4444"]),
        (lambda a, b: (a * 0 + 1) ** 7, "** 7", ["7"]),
        (lambda a, b: type(a)(5) ** 40, "** 40", ["7.276e+28"]),
        (lambda a, b: (a * -1000).exp(), "exp", ["0"]),
    ],
)
def test_operators(layer, make, symbol, local_grads):
    result = make(layer.Value(1.5), layer.Value(0.5))
    lines, edges = boxes(draw(result))
    assert lines[0][0] == symbol
    assert [label for _, to, label in edges][: len(local_grads)] == local_grads


def test_operators_that_nothing_proves(layer):
    """A node made by hand, an operand changed later, 0**k: only the local gradients are known."""
    a, b = layer.Value(1.5), layer.Value(0.5)
    tanh = layer.Value(0.9051482536448664, (a,), (0.1807066389368837,))
    changed = a * b
    a.data = 7.0
    for node in (tanh, changed, layer.Value(0.0) ** 2, layer.Value(1.0, (a, b, a), (1, 2, 3)), layer.Value(1, (a,), ())):
        lines, edges = boxes(draw(node))
        assert lines[0][0] == "f"
        assert len(edges) == len(node._children)
    assert [label for *_, label in edges] == [""]
    assert boxes(draw(layer.Value(2.0, (layer.Value(3),), (10**15,))))[0][0][0] == "f"  # without computing 3 ** 10**15


def test_both_layers_draw_the_same():
    model = small_model()
    loss, weights = model.loss_graph("ae")
    pure = model.to_values(reference.Value)
    pure_loss = reference.batch_loss([model.tokenizer.document("ae")], pure, model.config)
    for root in (loss, pure_loss):
        root.backward()
    assert draw(loss, names=weights, max_nodes=10**6).dot == draw(pure_loss, names=pure, max_nodes=10**6).dot


def test_names():
    rows = [[Value(1.0), Value(2.0)], [Value(3.0), Value(4.0)]]
    total = sum(x for row in rows for x in row)
    lines, _ = boxes(draw(total, names={"w": rows, "total": total}))
    assert [line[0] for line in lines if line[0][0] == "w"] == ["w[1][1]", "w[1][0]", "w[0][1]", "w[0][0]"]
    assert lines[0][0] == "total: +"


NASTY = 'a"b\\n<c>&amp;{|}\n\t\x00\N{LATIN SMALL LETTER E WITH ACUTE}\ud800 \\N\\G'


def test_escaping():
    a = Value(1.0)
    text = draw(a * 2, names={NASTY: a}).dot
    assert r'label="a\"b\\n<c>&amp;amp;{|}\\n\\t\\x00é\\ud800 \\N\\G\ndata 1' in text
    assert text.encode("utf-8").isascii() is False


@GRAPHVIZ
def test_graphviz_reads_what_is_written():
    a = Value(1.0)
    svg = ElementTree.fromstring(draw(a * 2, names={NASTY: a}).svg())
    texts = [element.text for element in svg.iter("{http://www.w3.org/2000/svg}text")]
    assert 'a"b\\n<c>&amp;{|}\\n\\t\\x00é\\ud800 \\N\\G' in texts
    assert "×" in texts


def test_numbers_of_every_kind():
    for data in (1, 10**400, 10**5000, 1.5, float("nan"), float("-inf"), 2j, "text"):
        assert draw(reference.Value(data)).dot
    node = reference.Value(float("nan")) + 1
    assert boxes(draw(node))[0][0] == ["+", "data nan", "grad 0"]


# ---- limits -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("max_nodes", [1, 2, 7, 50])
def test_what_is_left_out_is_said(max_nodes):
    loss, weights = small_model().loss_graph("emma")
    drawn = draw(loss, names=weights, max_nodes=max_nodes)
    total = len(list(drawing._breadth_first(loss)))
    assert caption(drawn) == f"{max_nodes} Values of {total:,}: … {total - max_nodes:,} more"
    assert drawn.num_nodes == max_nodes == len(boxes(drawn)[0])
    lines, edges = boxes(drawn)
    missing = sum(int(line[-1].split()[1]) for line in lines if line[-1].startswith("…"))
    nodes = [node for _, node in zip(range(max_nodes), drawing._breadth_first(loss))]
    assert missing + len(edges) == sum(len(node._children) for node in nodes)
    assert drawn.dot.count("dashed") == sum(line[-1].startswith("…") for line in lines) > 0


def test_all_of_it_says_nothing_of_more():
    a = Value(1.0)
    for max_nodes in (3, 4):
        drawn = draw(a * 2, max_nodes=max_nodes)
        assert caption(drawn) == "" and "…" not in drawn.dot and "dashed" not in drawn.dot


def test_deep_graphs(layer):
    leaf = node = layer.Value(1.0)
    for _ in range(10_000):
        node = node + 1
    assert caption(draw(node, max_nodes=3)) == "3 Values of 20,001: … 19,998 more"
    assert caption(draw(node, to=leaf, max_nodes=3)).startswith("shortest path of 10,000 edges")
    while node is not leaf:  # freeing the pure graph would recurse as deep
        node = node._children[0]


def test_a_graph_above_itself():
    node = reference.Value(1.0)
    node._children, node._local_grads = (node,), (1,)
    assert draw(node).num_nodes == 1


# ---- the way to a Value -------------------------------------------------------------------------------------------------


def test_the_shortest_paths(layer):
    a, b = layer.Value(2.0), layer.Value(3.0)
    root = (a + b) * (a * b) + a.log().exp().exp()
    drawn = draw(root, names={"a": a, "b": b}, to=a)
    assert caption(drawn) == "2 shortest paths of 3 edges; product of the local gradients: 21"  # 1 * 6 + 3 * 5
    lines, _ = boxes(drawn)
    assert {line[0] for line in lines} == {"+", "×", "a", "b", "exp"}  # log is too far
    assert [line[-1] for line in lines if line[0] == "exp"] == ["… 1 more"]
    short = draw(root, to=a, max_nodes=1)
    assert short.num_nodes == 5 and "exp" not in short.dot  # the paths are complete, the operands beside them are omitted
    assert [line[-1] for line in boxes(short)[0]].count("… 1 more") == 3


def test_a_square_is_two_paths():
    a = Value(3.0)
    assert caption(draw(a * a, to=a)) == "2 shortest paths of 1 edge; product of the local gradients: 6"
    assert caption(draw(a, to=a)) == "shortest path of 0 edges; product of the local gradients: 1"


def test_where_all_paths_are_the_shortest_their_product_is_the_gradient():
    rng = random.Random(5)
    level = leaves = [Value(rng.gauss(0, 1)) for _ in range(4)]
    for _ in range(6):
        level = [rng.choice(level) * rng.choice(level) for _ in range(3)] + [rng.choice(level) + rng.choice(level)]
    root = level[0] * level[3]
    root.backward()
    reached = [leaf for leaf in leaves if leaf.grad]
    assert reached
    for leaf in reached:
        levels = re.search(r"gradients: (.*)", caption(draw(root, to=leaf)))[1]
        assert float(levels) == pytest.approx(leaf.grad, rel=1e-3)


def test_the_way_from_the_loss_to_each_weight():
    model = small_model()
    loss, weights = model.loss_graph("emma")
    loss.backward()
    for name, matrix in weights.items():
        weight = matrix[1][2]
        if weight.grad:
            lines, _ = boxes(draw(loss, names=weights, to=weight))
            assert f"{name}[1][2]" in [line[0] for line in lines]


# ---- drawing changes nothing --------------------------------------------------------------------------------------------


class Watched(Program):
    """A random program whose Values are drawn before and after each backward pass."""

    def backward(self):
        self.drawn()
        Program.backward(self)
        self.drawn()

    def drawn(self):
        for value in self.pool[-3:]:
            draw(value, names={"x": self.pool[0]}, max_nodes=30)
            if value._children:
                draw(value, to=value._children[0])


Watched.STEPS = [Watched.backward if step is Program.backward else step for step in Program.STEPS]


@pytest.mark.parametrize("wild", [False, True])
def test_programs_that_are_watched(wild):
    for seed in range(60):
        assert Watched(scalar, seed, wild).run(40) == Program(scalar, seed, wild).run(40), seed


@pytest.mark.parametrize(
    "config",
    [
        GPTConfig(),
        GPTConfig(n_layer=2, n_embd=6, n_head=3, block_size=4, activation="relu2", init_std=0.5, bos_first=True),
    ],
)
def test_the_loss_as_a_graph(config):
    model = GPT.init(config, Tokenizer("aem", config.bos_first), random.Random(3))
    corpus = Corpus(["emma"], model.tokenizer)
    model.engine.network.backward(corpus, 0, TrainConfig())
    gradients = [g.hex() for g in model.engine.network.gradients]
    params = model.params.tolist()

    def flat(weights):
        return [float(p.grad).hex() for matrix in weights.values() for row in matrix for p in row]

    loss, weights = model.loss_graph("emma")
    assert list(weights) == list(model.state_dict())
    assert loss.data.hex() == model.loss("emma").hex()
    loss.backward()
    assert flat(weights) == gradients
    loss.backward()
    twice = flat(weights)

    seen, weights = model.loss_graph("emma")
    draw(seen, names=weights)
    draw(seen, to=weights["wte"][model.tokenizer.bos][0])
    seen.backward()
    assert flat(weights) == gradients
    draw(seen, names=weights)
    seen.backward()
    assert flat(weights) == twice
    assert model.params.tolist() == params


def test_a_loss_without_a_graph():
    model = small_model()
    model.state_dict()["lm_head"][0, 0] = 1e200
    with pytest.raises(ValueError, match="the loss of 'm' is infinite and has no graph"):
        model.loss_graph("m")
    with pytest.raises(ValueError, match="the character 'x'"):
        model.loss_graph("x")


# ---- pictures -----------------------------------------------------------------------------------------------------------


@GRAPHVIZ
def test_pictures(tmp_path):
    drawn = draw(Value(2.0) * 3, direction="TB")
    for suffix, begins in (("dot", b"digraph {"), ("svg", b"<?xml"), ("png", b"\x89PNG")):
        drawn.save(tmp_path / f"graph.{suffix}")
        assert (tmp_path / f"graph.{suffix}").read_bytes().startswith(begins)
    shown = drawn._repr_mimebundle_()
    assert shown["image/svg+xml"] == drawn.svg() and shown["text/plain"] == repr(drawn)
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["graph.dot", "graph.png", "graph.svg"]


def test_without_graphviz(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    drawn = draw(Value(2.0) * 3)
    with pytest.raises(FileNotFoundError, match="install Graphviz"):
        drawn.save(tmp_path / "graph.png")
    assert list(tmp_path.iterdir()) == []
    drawn.save(str(tmp_path / "graph.dot"))
    assert (tmp_path / "graph.dot").read_text(encoding="utf-8") == drawn.dot
    assert drawn._repr_mimebundle_()["image/svg+xml"] == drawn.svg()
    value = Value(2.0)
    for _ in range(300):
        value = value + 1
    drawn = draw(value, max_nodes=400)  # too many for the plain picture
    shown = drawn._repr_mimebundle_()
    assert list(shown) == ["text/plain"] and drawn.dot in shown["text/plain"] and "install Graphviz" in shown["text/plain"]


@pytest.mark.parametrize("direction", ["LR", "RL", "TB", "BT"])
def test_the_plain_picture(monkeypatch, tmp_path, direction):
    """Every box is present with its text, no box covers another, and every arrow leads to a later layer."""
    monkeypatch.setenv("PATH", str(tmp_path))
    a, b = Value(2.0), Value(-3.0)
    loss = (a * b + 10).relu() ** 2 / a.exp() + (a - b) * a
    drawn = draw(loss, names={"<a>": a}, direction=direction)
    svg = ElementTree.fromstring(drawn.svg())
    assert (
        svg.get("style") == "background:white"
    )  # as in Graphviz's pictures; otherwise the numbers on arrows would be unreadable in a dark notebook
    names = "{http://www.w3.org/2000/svg}"
    boxes = [tuple(float(box.get(name)) for name in ("x", "y", "width", "height")) for box in svg.iter(f"{names}rect")]
    assert len(boxes) == drawn.num_nodes
    for i, (x, y, w, h) in enumerate(boxes):
        assert 0 <= x <= x + w <= float(svg.get("width")) and 0 <= y <= y + h <= float(svg.get("height"))
        assert all(x + w <= x2 or x2 + w2 <= x or y + h <= y2 or y2 + h2 <= y for x2, y2, w2, h2 in boxes[:i])
    texts = [text.text for text in svg.iter(f"{names}text")]
    assert "<a>" in texts and all(line in texts for lines, *_ in drawn.boxes.values() for line in lines)
    arrows = [path.get("d")[1:].replace("L", " ").split() for path in svg.iter(f"{names}path") if path.get("marker-end")]
    assert len(arrows) == len(drawn.edges)
    along, sign = (0 if direction in ("LR", "RL") else 1), (1 if direction in ("LR", "TB") else -1)
    assert all(sign * (float(arrow[2 + along]) - float(arrow[along])) > 0 for arrow in arrows)


def test_graphviz_that_fails(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda _: sys.executable)  # a program that does not know -Tsvg
    with pytest.raises(RuntimeError, match="could not draw"):
        draw(Value(2.0)).svg()


@pytest.mark.parametrize(
    "use, error, text",
    [
        (lambda v: draw(3.0), TypeError, "draw takes a Value, not float"),
        (lambda v: draw(v, to=2), TypeError, "to must be a Value, not int"),
        (lambda v: draw(v, names={"w": [v, 1.0]}), TypeError, r"'w\[1\]' in names must be a Value, not float"),
        (lambda v: draw(v, to=Value(1)), ValueError, "no path"),
        (lambda v: draw(v, max_nodes=0), ValueError, "max_nodes must be a whole number of at least 1, not 0"),
        (lambda v: draw(v, max_nodes=True), ValueError, "max_nodes"),
        (lambda v: draw(v, direction="up"), ValueError, "direction must be one of LR, TB, RL, BT, not 'up'"),
        (lambda v: draw(v).save("graph.jpeg"), ValueError, "saved as .dot, .svg or .png, .*, not in '.jpeg'"),
    ],
)
def test_errors(use, error, text):
    with pytest.raises(error, match=text):
        use(Value(2.0) * 3)


def test_the_picture_in_the_docs_is_what_its_page_draws():
    page = (DOCS / "graph.md").read_text(encoding="utf-8")
    code = next(block for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "graph.dot" in block)
    drawn = {}
    exec(code.replace('.save("graph.dot")', ""), {"__name__": "docs"}, drawn)
    picture = next(value for value in drawn.values() if isinstance(value, microgpt.display.drawing.Drawing))
    lines = [line for box in boxes(picture)[0] for line in box] + [label for *_, label in boxes(picture)[1]]
    svg = ElementTree.fromstring((DOCS / "graph.svg").read_text(encoding="utf-8"))
    texts = [element.text for element in svg.iter("{http://www.w3.org/2000/svg}text")]
    assert sorted(texts) == sorted(lines)
