"""Characters to token ids and back."""

from collections.abc import Iterable

from microgpt.common.words import quoted


class Tokenizer:
    """One token for each character, in code point order, and one (BOS) that begins and ends every document.

    chars: the distinct characters, sorted; bos_first: BOS is id 0 and characters start at 1, else BOS is the last id.
    """

    def __init__(self, chars: Iterable[str], bos_first: bool = False) -> None:
        self.chars = "".join(chars)
        if list(self.chars) != sorted(set(self.chars)):
            raise ValueError("a tokenizer's characters must be distinct and sorted; make one with Tokenizer.from_docs(docs)")
        self.bos_first = bos_first
        self.vocab_size = len(self.chars) + 1
        self.bos = 0 if bos_first else len(self.chars)
        self.ids = {char: i for i, char in enumerate(self.chars, int(bos_first))}

    @classmethod
    def from_docs(cls, docs: Iterable[str], bos_first: bool = False) -> "Tokenizer":
        """The tokenizer of all characters in `docs`, a list of strings."""
        return cls(sorted(set("".join(docs))), bos_first)

    def encode(self, text: str) -> list[int]:
        """Token ids of `text`, without BOS. ValueError names a character that is not in the vocabulary."""
        try:
            return [self.ids[char] for char in text]
        except KeyError as error:
            raise ValueError(self.unknown(error.args[0])) from None

    def decode(self, tokens: Iterable[int]) -> str:
        """The text of token ids; BOS has none. ValueError names an id that is out of range."""
        offset = int(self.bos_first)
        text = []
        for token in tokens:
            if not 0 <= token < self.vocab_size:
                raise ValueError(f"token id {token} is out of range: this vocabulary has {self.vocab_size} tokens")
            if token != self.bos:
                text.append(self.chars[token - offset])
        return "".join(text)

    def document(self, text: str, documents: str = "lines") -> list[int]:
        """Token ids of a whole document: [BOS] + ids + [BOS]; of a text (documents: GPTConfig's) what it is read as, without an end."""
        ends = [] if documents == "text" else [self.bos]
        return [self.opening(documents), *self.encode(text), *ends]

    def opening(self, documents: str) -> int:
        """The id of the token that a model reads before what it is given: BOS.

        Before a text it is a line break, as if a line began there; where the alphabet has none a space, or else its first character.
        """
        if documents != "text":
            return self.bos
        return next(self.ids[char] for char in ("\n", " ", *self.chars) if char in self.ids)

    def unknown(self, char: str) -> str:
        """What to say of a character that is not in the vocabulary."""
        return f"the character {char!r} (U+{ord(char):04X}) is not in the model's vocabulary; it knows {quoted(self.chars)}"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Tokenizer):
            return NotImplemented
        return (self.chars, self.bos_first) == (other.chars, other.bos_first)

    def __hash__(self) -> int:
        return hash((self.chars, self.bos_first))

    def __repr__(self) -> str:
        return f"Tokenizer(chars={self.chars!r}, bos_first={self.bos_first})"
