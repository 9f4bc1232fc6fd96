"""Whether two spellings are one person."""

import re
import unicodedata
from collections.abc import Iterable


def marks(text: str) -> frozenset[str]:
    """Return what a person is known by: `Ada Lovelace <ada@example.org>` by name and e-mail.

    Case, accents, order and punctuation do not make another name; case, dots and what follows a
    plus sign do not make another address.
    """
    parts = (part.strip() for part in re.split(r"[<>();/]", text))
    return frozenset(mark for part in parts if (mark := _mark(part)))


def known_by(texts: Iterable[str], together: Iterable[Iterable[str]] = ()) -> frozenset[str]:
    """Collect what people are known by.

    Args:
        texts: of persons.
        together: principals that belong to one person, as signatures.same_person() lists them.
    """
    known = frozenset(mark for text in texts for mark in marks(text))
    groups = [frozenset(mark for each in group for mark in marks(each)) for group in together]
    for _ in groups:  # a group may lead to another
        for group in groups:
            known |= group if known & group else frozenset()
    return known


def _mark(part: str) -> str:
    plain = unicodedata.normalize("NFKD", part).casefold()
    plain = "".join(letter for letter in plain if not unicodedata.combining(letter))
    name, at, host = plain.partition("@")
    if at:
        return f"{name.partition('+')[0].replace('.', '')}@{host.strip('.')}"
    return " ".join(sorted(re.findall(r"\w+", plain)))
