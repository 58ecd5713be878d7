"""Whether a text holds a value: numbers are compared as numbers with sign, point and unit, names with their signs.

"850kW", "850 KW" and "850 kilowatts" are one value, "1.5 MW" and "15 MW" two; "K-302" is "K302", "C++" is not "C".
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from decimal import Decimal
from functools import lru_cache
from pathlib import Path

import yaml

RULES = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))
YES_OR_NO = frozenset(word for words in RULES["yes_or_no"] for word in words)  # a reply begins with these
UNITS = {word: unit for unit, words in RULES["units"].items() for word in (unit, *words.split())}
NUMERALS = {word: str(number) for number, word in enumerate(RULES["numerals"], 2)}
MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec".split()
MONTH = f"(?P<m>(?:{'|'.join(MONTHS)})[a-z]*)\\.?"
DATES = [re.compile(pattern.replace("M", MONTH)) for pattern in RULES["dates"]]
CLEANED = [(re.compile(pattern), put) for pattern, put in RULES["cleaned"]]
GROUPED = [(re.compile(pattern), separator) for pattern, separator in RULES["grouped"]]
SUPERSCRIPT = re.compile("(?<=\\d)[⁺⁻]?[⁰¹²³⁴⁵⁶⁷⁸⁹]+")
THOUSAND = re.compile(r"(?<![\w.,])([1-9]\d{0,2})\.(\d00)(?![\d.]*\d)")  # 1.000: a thousand here, one there
RANGE = re.compile(r"(?<=\d)(-|\s+(?:to|bis)\s+)(?=\d)")
NUMBER = re.compile(r"(-?)(\d+(?:\.\d+)?|\.\d+)(?:(?:e|(\^))([+-]?\d+))?(?!\.?\d)(.*)")


@lru_cache(maxsize=65536)
def comparable(text: str) -> str:
    """A text in the form in which values are compared: numbers as numbers, units by their symbols, no punctuation."""
    text = SUPERSCRIPT.sub(lambda found: "^" + unicodedata.normalize("NFKC", found[0]).replace("−", "-"), text)
    text = unicodedata.normalize("NFKC", text.replace("º", "°"))
    for pattern in DATES:
        text = pattern.sub(_date, text)
    for pattern, separator in GROUPED:
        text = pattern.sub(lambda found, mark=separator: found[0].replace(mark, ""), text)
    for pattern, put in CLEANED:
        text = pattern.sub(put, text)
    made: list[str] = []
    after_number = False
    for piece in text.casefold().split():
        literal = bool(made) and made[-1] in RULES["versions"]
        for word, number in _parts(piece, after_number, literal):
            if word in RULES["scales"] and after_number:
                word = _plain(Decimal(made.pop()).scaleb(RULES["scales"][word]))
                number = True
            made.append(word)
            after_number = number
    return " ".join(made)


def _date(found: re.Match[str]) -> str:
    month = found["m"].lower()[:3]
    number = MONTHS.index(month) + 1 if month in MONTHS else int(month)
    return f"{found['y']}-{number:02}-{int(found['d']):02}"


def _plain(number: Decimal) -> str:
    return f"{number.normalize() + 0:f}"


def _parts(piece: str, after_number: bool, literal: bool) -> Iterator[tuple[str, bool]]:
    """The words of a piece of text without spaces, and whether a unit may follow each."""
    if piece.isalpha() and not after_number:
        yield NUMERALS.get(piece, piece), piece in NUMERALS
        return
    piece = piece.strip("/:@^_").rstrip("-./:").removeprefix("+" if piece[1:2].isdigit() else "#").lstrip("#")
    if not re.match(r"-?\.?\d", piece):
        piece = piece.lstrip("-")
        if not piece.startswith(".") or piece.startswith(".."):
            piece = piece.lstrip(".")
    if not re.search(r"\w|[%€$£°]", piece):
        return
    number = NUMBER.fullmatch(piece)
    unit = number and number[5].removeprefix("-")
    if number and not literal and (not unit or _unit(unit)) and not re.match(r"0\d\d", number[2]):
        value, power = Decimal(number[1] + number[2]), int(number[4] or 0)
        if abs(power) <= 30:
            value = value**power if number[3] else value.scaleb(power)
        yield _plain(value), not unit
        if unit:
            yield _unit(unit), False
    elif after_number and _unit(piece):
        yield _unit(piece), False
    elif re.search(r"\d", piece):
        piece = re.sub(r"(?<=[^\W\d])-(?=\d)|(?<=\d)-(?=[^\W\d])", "", piece)
        yield re.sub(r"^0(?=\d:)", "", piece), False
    elif re.fullmatch(r"(\w\.)+\w?", piece):
        yield piece.replace(".", ""), False
    else:
        for word in re.split(r"[-/:]+", piece):
            if word:
                yield NUMERALS.get(word, word), word in NUMERALS


def _unit(word: str) -> str | None:
    return UNITS.get(word) or UNITS.get(word.removesuffix("s"))


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
