"""The mutants of mutants.py fit the sources, however these are formatted, so that its hour is not wasted."""

import re

import mutants
import pytest
from mutants_changes import PYTHON, C, language, mutate, statement, statements, tags

FILES = mutants.tagged(mutants.ROOT)
CHANGES = [
    pytest.param(tag, change, id=f"{name}, {tag}") for name, mutant in mutants.MUTANTS.items() for tag, change in mutant.changes.items()
]


def test_tags():
    """Each tag occurs once, and a mutant uses it."""
    assert {tag: len(files) for tag, files in FILES.items()} == dict.fromkeys(FILES, 1)
    assert FILES.keys() == {tag for mutant in mutants.MUTANTS.values() for tag in mutant.changes}


def test_names_and_tests():
    tables = mutants.SCALAR, mutants.EXACT, mutants.FAST, mutants.PACKAGE
    assert len(mutants.MUTANTS) == sum(map(len, tables)) and mutants.MUTANTS.keys() >= mutants.NOT_HERE
    for mutant in mutants.MUTANTS.values():
        files = [part for part in mutants.split(mutant.tests) if part.endswith(".py")]
        assert files and all((mutants.ROOT / "tests" / file).is_file() for file in files)


def code(text, pattern):
    return [token[0] for token in pattern.finditer(text) if token.lastgroup == "code"]


@pytest.mark.parametrize("tag, change", CHANGES)
def test_a_change_fits_its_statement_in_any_format(tag, change):
    (path,) = FILES[tag]
    text, pattern = path.read_text(encoding="utf-8"), language(path)
    changed = code(mutate(text, tag, change, pattern), pattern)  # LookupError if it does not fit or changes nothing
    for other in reformatted(text, tag, pattern):
        assert code(mutate(other, tag, change, pattern), pattern) == changed


def reformatted(text, tag, pattern):
    """The text with that statement on one line, or with one word per line, and its tag above, inside or after it."""
    found = statement(text, tag, pattern)
    words = [token[0] for token in found]
    before, after = without(text[: found[0].start()], tag, pattern), without(text[found[-1].end() :], tag, pattern)
    comment = f"# mutant: {tag}" if pattern is PYTHON else f"/* mutant: {tag} */"
    indent = before[before.rfind("\n") + 1 :]
    many_lines = "".join(map(str.__add__, words, breaks(words, pattern))).rstrip()
    yield f"{before}{comment}\n{indent}{' '.join(words)}{after}"
    yield f"{before}{many_lines}  {comment}{after}"
    if pattern is C:
        yield before + many_lines.replace("\n", f" {comment}\n", 1) + after
        yield before + "\n".join([*words[:-1], f"{comment} {words[-1]}"]) + after


def breaks(words, pattern):
    """The separator after each of these words: a line break, in Python only inside brackets."""
    depth = 0
    for word in words:
        depth += (word in "([{") - (word in ")]}")
        yield "\n" if depth or pattern is C else " "


def without(text, tag, pattern):
    """The text without that tag, but with the rest of its comment."""
    return re.sub(rf"/\* mutant: {tag} \*/|(#|//) mutant: {tag}(?![\w-])", r"\1" if pattern is PYTHON else "", text)


@pytest.mark.parametrize("path", sorted({path for (path,) in FILES.values()}), ids=lambda path: path.name)
def test_the_statements_of_a_file(path):
    """No token is lost between statements, and no statement begins or ends inside brackets."""
    text, pattern = path.read_text(encoding="utf-8"), language(path)
    found = [[token[0] for token in tokens] for tokens in statements(pattern.finditer(text), pattern)]
    assert sum(found, []) == code(text, pattern)
    assert all(words.count("(") == words.count(")") for words in found)


def test_statements_by_hand():
    source = "#define A {\n"
    source += "int f(int x) {\n  if (x) /* mutant: a */\n    return (T){1, {2}}.y;\n  int y[] = {3}; // mutant: b\n}"
    words = [" ".join(token[0] for token in tokens) for tokens in statements(C.finditer(source), C)]
    assert [*filter(None, words)] == [
        "int f ( int x ) {", "if ( x ) return ( T ) { 1 , { 2 } } . y ;", "int y [ ] = { 3 } ;", "}",
    ]  # fmt: skip
    assert tags(source, C) == ["a", "b"]
    source = 'if a:  # mutant: a\n    f(1,\n      "x # y")  # z; mutant: b\n# mutant: c\n    g = {\n    1: 2,\n    }\n'
    found = {tag: " ".join(token[0] for token in statement(source, tag, PYTHON)) for tag in tags(source, PYTHON)}
    assert found == {"a": "if a :", "b": 'f ( 1 , "x # y" )', "c": "g = { 1 : 2 , }"}
