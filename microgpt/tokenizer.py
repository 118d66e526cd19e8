"""Characters to token ids and back."""

from collections.abc import Iterable

from microgpt.common.words import quoted


class Tokenizer:
    """One token for each character, in code point order, and one token, BOS, that begins and ends every document.

    chars: the distinct characters, sorted, else ValueError. bos_first: whether BOS has id 0 and the first character id 1; otherwise the
    first character has id 0 and BOS the last id. Attributes: vocab_size, the number of tokens; bos, the id of BOS; ids, character -> id.
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
        """The text of token ids, in which BOS is omitted. ValueError names an id that is out of range."""
        offset = int(self.bos_first)
        text = []
        for token in tokens:
            if not 0 <= token < self.vocab_size:
                raise ValueError(f"token id {token} is out of range: this vocabulary has {self.vocab_size} tokens")
            if token != self.bos:
                text.append(self.chars[token - offset])
        return "".join(text)

    def document(self, text: str, documents: str = "lines") -> list[int]:
        """The token ids of a whole document, [BOS] + ids + [BOS].

        documents: as in GPTConfig; a "text" begins with `opening` instead of BOS and has no end. ValueError as for `encode`.
        """
        ends = [] if documents == "text" else [self.bos]
        return [self.opening(documents), *self.encode(text), *ends]

    def opening(self, documents: str) -> int:
        """The id of the token that a model reads before its input: BOS.

        Before a text it is a line break, as at the beginning of a line. If the alphabet has none, it is a space, or else the first
        character.
        """
        if documents != "text":
            return self.bos
        return next(self.ids[char] for char in ("\n", " ", *self.chars) if char in self.ids)

    def unknown(self, char: str) -> str:
        """The error message for a character that is not in the vocabulary."""
        return f"the character {char!r} (U+{ord(char):04X}) is not in the model's vocabulary; it knows {quoted(self.chars)}"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Tokenizer):
            return NotImplemented
        return (self.chars, self.bos_first) == (other.chars, other.bos_first)

    def __hash__(self) -> int:
        return hash((self.chars, self.bos_first))

    def __repr__(self) -> str:
        return f"Tokenizer(chars={self.chars!r}, bos_first={self.bos_first})"
