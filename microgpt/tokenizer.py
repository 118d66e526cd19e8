"""Characters to token ids and back."""

from collections.abc import Iterable

from microgpt.common.words import quoted


class Tokenizer:
    """One token for each character, in the order of code points, and the token BOS, which begins and ends every document.

    Args:
        chars: The distinct characters, sorted.
        bos_first: Whether BOS has the id 0 and the characters begin at 1. Otherwise BOS has the last id.

    Attributes:
        chars: The characters, a string.
        vocab_size: The number of tokens: one more than the number of characters.
        bos: The id of BOS.
        ids: Character -> token id.

    Raises:
        ValueError: The characters are not distinct, or not sorted.
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
        """The tokenizer for all characters in `docs`, a list of strings."""
        return cls(sorted(set("".join(docs))), bos_first)

    def encode(self, text: str) -> list[int]:
        """The token ids of `text`, without BOS.

        Raises:
            ValueError: A character is not in the vocabulary; the message names it.
        """
        try:
            return [self.ids[char] for char in text]
        except KeyError as error:
            raise ValueError(self.unknown(error.args[0])) from None

    def decode(self, tokens: Iterable[int]) -> str:
        """The text of token ids. BOS adds nothing to it.

        Raises:
            ValueError: An id is out of range; the message names it.
        """
        offset = int(self.bos_first)
        text = []
        for token in tokens:
            if not 0 <= token < self.vocab_size:
                raise ValueError(f"token id {token} is out of range: this vocabulary has {self.vocab_size} tokens")
            if token != self.bos:
                text.append(self.chars[token - offset])
        return "".join(text)

    def document(self, text: str, documents: str = "lines") -> list[int]:
        """The token ids of a whole document: [BOS, ..., BOS].

        Args:
            text: The document.
            documents: What a document is, as in `GPTConfig`. A "text" begins with its `opening` and has no end.

        Raises:
            ValueError: A character is not in the vocabulary.
        """
        ends = [] if documents == "text" else [self.bos]
        return [self.opening(documents), *self.encode(text), *ends]

    def opening(self, documents: str) -> int:
        """The id of the token that a model reads first: BOS.

        Before a "text" (`GPTConfig.documents`) it is a line break, as if a line began there. If the alphabet has no line break, it is a
        space, and if it has neither, the first character.
        """
        if documents != "text":
            return self.bos
        return next(self.ids[char] for char in ("\n", " ", *self.chars) if char in self.ids)

    def unknown(self, char: str) -> str:
        """The message about a character that is not in the vocabulary."""
        return f"the character {char!r} (U+{ord(char):04X}) is not in the model's vocabulary; it knows {quoted(self.chars)}"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Tokenizer):
            return NotImplemented
        return (self.chars, self.bos_first) == (other.chars, other.bos_first)

    def __hash__(self) -> int:
        return hash((self.chars, self.bos_first))

    def __repr__(self) -> str:
        return f"Tokenizer(chars={self.chars!r}, bos_first={self.bos_first})"
