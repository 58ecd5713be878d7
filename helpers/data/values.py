"""What a text says: its sentences, SQuAD's normal form, and whether it holds a value.

Numbers are compared as numbers with sign, point and unit, names with their signs:
"850kW", "850 KW" and "850 kilowatts" are one value, "1.5 MW" and "15 MW" two; "K-302" is "K302", "C++" is not "C".
"""

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from functools import lru_cache

from .files import table

RULES, LANGUAGES = table(__file__), table(__file__, "languages.yaml")
YES_OR_NO = frozenset(word for words in RULES["yes_or_no"] for word in words)  # a reply begins with these
UNITS = {word: unit for unit, words in RULES["units"].items() for word in (unit, *words.split())}
UNITS = {f"{word}s": unit for word, unit in UNITS.items() if len(word) > 1} | UNITS
NUMERALS = {word: str(number) for number, word in enumerate(RULES["numerals"], 2)}
ARTICLES = re.compile(r"\b(a|an|the)\b")
SENTENCE_END = re.compile(r"(?<=[.!?])\s+")
SHORT = 5  # words; a shorter sentence stays with the one before it
MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec".split()
MONTH = f"(?P<m>(?:{'|'.join(MONTHS)})[a-z]*)\\.?"
SUPERSCRIPT = re.compile("(?<=\\d)(?=[⁺⁻⁰¹²³⁴⁵⁶⁷⁸⁹])")
THOUSAND = re.compile(r"(?<![\w.,])([1-9]\d{0,2})\.(\d00)(?![\d.]*\d)")  # 1.000: a thousand here, one there
RANGE = re.compile(r"(?<=\d)(-|\s+(?:to|bis)\s+)(?=\d)")
NUMBER = re.compile(r"(-?(?!0\d\d)(?:\d+(?:\.\d+)?|\.\d+)(?:e[+-]?\d\d?)?)(?!\.?\d)(.*)")  # and its unit


def _date(found: re.Match[str]) -> str:
    month = found["m"].lower()[:3]
    number = MONTHS.index(month) + 1 if month in MONTHS else int(month)
    return f"{found['y']}-{number:02}-{int(found['d']):02}"


REWRITTEN = [(re.compile(pattern), put) for pattern, put in [
    *((pattern.replace("M", MONTH), _date) for pattern in RULES["dates"]),
    *((pattern, lambda found: re.sub(r"\D", "", found[0])) for pattern in RULES["grouped"]),
    *RULES["cleaned"],
]]  # fmt: skip


@lru_cache(maxsize=65536)
def normalise(text: str) -> str:
    """SQuAD's normal form: lower case, no punctuation (of any script), no articles, single spaces."""
    text = unicodedata.normalize("NFC", text.lower())
    marks = {mark for mark in set(text) if mark in string.punctuation or unicodedata.category(mark).startswith("P")}
    return " ".join(ARTICLES.sub(" ", text.translate({ord(mark): None for mark in marks})).split())


def language(text: str) -> str:
    """The language that a text seems to be in, by its script and its commonest words, or "unclear"."""
    sample, known = text[:20_000], LANGUAGES
    scripts = Counter(unicodedata.name(letter, "").split(" ")[0] for letter in sample if letter.isalpha())
    script = "HIRAGANA" if scripts["HIRAGANA"] else max(scripts, key=scripts.__getitem__, default="unclear")
    words = Counter(re.findall(r"\w+", sample.lower()))
    share = {
        name: sum(map(words.__getitem__, common.split())) / words.total() for name, common in known["words"].items()
    }
    best = max(share, key=share.__getitem__) if script in ("LATIN", "CYRILLIC") else ""
    return (best if share[best] >= 0.08 else "unclear") if best else known["scripts"].get(script, script.capitalize())


def sentences(text: str) -> list[str]:
    """The sentences of a text; one of fewer than `SHORT` words stays with the sentence before it."""
    found: list[str] = []
    for piece in filter(None, SENTENCE_END.split(text.strip())):
        if found and len(piece.split()) < SHORT:
            found[-1] += f" {piece}"
        else:
            found.append(piece)
    return found


@lru_cache(maxsize=65536)
def comparable(text: str) -> str:
    """A text in the form in which values are compared: numbers as numbers, units by their symbols, no punctuation."""
    text = unicodedata.normalize("NFKC", SUPERSCRIPT.sub("^", text.replace("º", "°")))
    for pattern, put in REWRITTEN:
        text = pattern.sub(put, text)
    words: list[str] = []
    for piece in text.casefold().split():
        before = words[-1] if words else ""
        after_number = before[-1:].isdigit() and re.fullmatch(r"-?\d+(\.\d+)?", before)
        number = NUMBER.fullmatch(piece) if before not in RULES["versions"] else None
        if number and (not number[2] or number[2] in UNITS):
            words += [_plain(Decimal(number[1])), *filter(None, [UNITS.get(number[2])])]
        elif after_number and piece in RULES["scales"]:
            words[-1] = _plain(Decimal(before).scaleb(RULES["scales"][piece]))
        elif after_number and piece in UNITS:
            words.append(UNITS[piece])
        elif re.search(r"\d", piece):
            words.append(piece)
        else:
            words += [NUMERALS.get(word, word) for word in re.split(r"[-/:]+", piece) if word]
    return " ".join(words)


def _plain(number: Decimal) -> str:
    return f"{number.normalize() + 0:f}"


def readings(text: str) -> set[str]:
    """A text as `comparable`, in a second form too where it can be read in two: 1.000 as one and as a thousand."""
    return {comparable(text), comparable(THOUSAND.sub(r"\1\2", text))}


@lru_cache(maxsize=65536)
def forms(value: str) -> frozenset[str]:
    """The forms in which a value may be written: its readings, and a range with "to" or a hyphen."""
    ways = {value, RANGE.sub("-", value), RANGE.sub(" to ", value)}
    return frozenset(form for way in ways for form in readings(way) if form)


def contains(text: str, values: Sequence[str]) -> str | None:
    """The first of the values that is in the text as whole words, or None; see `comparable` for what is one value.

    Yes and no count at the beginning of a text alone: "No" is not in "I have no idea". A number without a unit is not
    in a text that gives it another unit than the other values do: with 45 days, 45 is not in "45 weeks".
    """
    held = [f" {reading} " for reading in readings(text)]
    pairs = [form.split(" ") for value in values for form in forms(value)]
    units = {number: unit for number, unit in (pair for pair in pairs if len(pair) == 2) if unit in UNITS}
    for value in values:
        for form in forms(value):
            for reading in held:
                place = reading.find(f" {form} ")
                if place < 0 or (place and form in YES_OR_NO):
                    continue
                following = reading[place + len(form) + 2 :].partition(" ")[0]
                if form not in units or following not in UNITS or following == units[form]:
                    return value
    return None
