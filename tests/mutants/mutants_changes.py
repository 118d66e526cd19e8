"""Tagged places in the sources, and changes to the statements there, for mutants.py.

A tag is a comment that has the words `mutant: NAME` in it: at the end of a line of the statement that it names, or
alone on the line above. A statement ends, in C and JavaScript, at its semicolon or at the brace that begins or ends a
block; in Python, at the end of its logical line. So `for (...) {` is a statement, and `if (...) return;` is one.

A change is a function from the tokens of a statement to other tokens, two lists of strings. Comments, spaces, line
breaks and whether a brace is on a line of its own do not matter to it.
"""

import re

CODE = r"""(?P<code>
      [rbfu]*(?: \"{3}.*?\"{3} | "(?:\\.|[^"\\\n])*" | '(?:\\.|[^'\\\n])*' )   # strings and characters
    | \.?\d(?: [ep][+-] | [\w.] )*                                             # numbers
    | [a-z_]\w*
    | (?: \*\* | // | << | >> )=? | -> | => | \+\+ | -- | && | \|\| | [-+*/%&|^!=<>]= | [^\s\\] )"""
FLAGS = re.VERBOSE | re.DOTALL | re.MULTILINE | re.IGNORECASE
PYTHON = re.compile(rf"(?P<comment> \#[^\n]* ) | (?P<end> (?<!\\)\n ) | {CODE}", FLAGS)
DIRECTIVE = r"^[ \t]*\#(?: \\\n | /\*.*?\*/ | [^\n] )*"
C = re.compile(rf"(?P<comment> /\*.*?\*/ | //[^\n]* ) | (?P<end> {DIRECTIVE} ) | {CODE}", FLAGS)


def language(path):
    """The pattern of the tokens of a file: `code`, `comment`, and `end`, a new line of Python or a directive of C."""
    return PYTHON if path.suffix in (".py", ".pyx", ".pxi") else C


def tags(text, pattern):
    """The names of the tags in a text, in order."""
    comments = [token[0] for token in pattern.finditer(text) if token.lastgroup == "comment"]
    return [name for comment in comments for name in re.findall(r"mutant:[\s*]+([\w-]+)", comment)]


def statement(text, tag, pattern):
    """The tokens (matches) of the statement that a tag names. Raises LookupError unless the tag occurs once."""
    tokens = list(pattern.finditer(text))
    comments = [token for token in tokens if token.lastgroup == "comment" and tag in tags(token[0], pattern)]
    if len(comments) != 1:
        raise LookupError(f"the tag {tag!r} is there {len(comments)} times, not once")
    start = comments[0].start()
    line = text.rfind("\n", 0, start) + 1
    code = [token for token in tokens if token.lastgroup == "code"]
    beside = [token for token in code if line < token.end() <= start]
    named = beside[-1] if beside else next(token for token in code if token.start() > start)
    return next(found for found in statements(tokens, pattern) if named in found)


def statements(tokens, pattern):
    """The statements of a file, from all its tokens: each a list of tokens without comments."""
    current, brackets = [], 0
    for token in tokens:
        text, ended = token[0], token.lastgroup == "end" and not brackets
        if token.lastgroup == "code":
            current.append(token)
            if text in ("(", "[") or text == "{" and (pattern is PYTHON or brackets or begins_value(current[:-1])):
                brackets += 1
            elif text in (")", "]", "}") and brackets:
                brackets -= 1
            else:
                ended = pattern is C and not brackets and text in (";", "{", "}")
        if ended:
            yield current
            current = []
    yield current


def begins_value(tokens):
    """Whether a brace after these tokens begins a value, as in `= {0}` and `(Type){0}`, and not a block."""
    words = [token[0] for token in tokens]
    if not words or words[-1] != ")":
        return bool(words) and words[-1] in ("=", "return")
    depth, i = 1, len(words) - 1
    while depth:  # back to where that parenthesis begins: after a word it is not a type
        i -= 1
        depth += (words[i] == ")") - (words[i] == "(")
    return i > 0 and (words[i - 1] == "return" or not re.match(r"\w", words[i - 1]))


def mutate(text, tag, change, pattern):
    """The text with a change to the statement that a tag names. Raises LookupError if the change does not fit."""
    found = statement(text, tag, pattern)
    old = [token[0] for token in found]
    new = change(old)
    if new == old:
        raise LookupError(f"nothing is changed at the tag {tag!r}")
    return text[: found[0].start()] + " ".join(new) + text[found[-1].end() :]


def tokenized(code):
    return [token[0] for token in re.finditer(CODE, code, FLAGS)]


# ---- Changes ---------------------------------------------------------------------------------------------------------


def replace(old, new):
    """Replace the code `old`, which occurs once, by the code `new`."""

    def change(tokens):
        at, length = position(tokens, old)
        return tokens[:at] + tokenized(new) + tokens[at + length :]

    return change


def swap(a, b):
    """Exchange two pieces of code, each of which occurs once."""

    def change(tokens):
        (first, m), (second, n) = sorted([position(tokens, a), position(tokens, b)])
        between = tokens[first + m : second]
        return tokens[:first] + tokens[second : second + n] + between + tokens[first : first + m] + tokens[second + n :]

    return change


def position(tokens, code):
    """(index of the first token of some code, number of its tokens). Raises LookupError unless the code occurs once."""
    wanted = tokenized(code)
    places = [i for i in range(len(tokens)) if tokens[i : i + len(wanted)] == wanted]
    if len(places) != 1:
        raise LookupError(f"{code!r} is {len(places)} times in {' '.join(tokens)!r}, not once")
    return places[0], len(wanted)


def instead(code):
    """Replace the statement by other code."""
    return lambda tokens: tokenized(code)


def before(code):
    """Insert other code before the statement."""
    return lambda tokens: tokenized(code) + tokens


def delete(tokens):
    """Delete the statement."""
    return [";"] if tokens[-1] == ";" else ["pass"]


def never(tokens):
    """Make the condition of an `if` false."""
    return with_condition(tokens, "0")


def always(tokens):
    """Make the condition of an `if` true."""
    return with_condition(tokens, "1")


def with_condition(tokens, condition):
    start = tokens.index("if") + 1
    if tokens[-1] == ":":  # Python
        return [*tokens[:start], condition, ":"]
    depth, end = 1, start
    while depth:
        end += 1
        depth += (tokens[end] == "(") - (tokens[end] == ")")
    return [*tokens[: start + 1], condition, *tokens[end:]]


def reverse_loop(tokens):
    """`i = a; i < b; i++` becomes `i = b; i-- > a;`, or that becomes this; `i = b; i > a; i--` becomes `i = a + 1; i <= b; i++`."""
    code, up = " ".join(tokens), r"(\w+) = (.*?) ; \1 < (.*?) ; \1 \+\+ \)"
    if re.search(up, code):
        return tokenized(re.sub(up, r"\1 = \3; \1-- > \2;)", code, count=1))
    down = r"(\w+) = (.*?) ; \1 > (.*?) ; \1 -- \)"
    if re.search(down, code):
        return tokenized(re.sub(down, r"\1 = \3 + 1; \1 <= \2; \1++)", code, count=1))
    return tokenized(re.sub(r"(\w+) = (.*?) ; \1 -- > (.*?) ; \)", r"\1 = \3; \1 < \2; \1++)", code, count=1))
