"""Whether a text holds a value: numbers are compared as numbers with sign, point and unit, names with their signs.

"850kW", "850 KW" and "850 kilowatts" are one value, "1.5 MW" and "15 MW" two; "K-302" is "K302", "C++" is not "C".
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from decimal import Decimal
from functools import lru_cache

YES_OR_NO = frozenset({"yes", "no", "ja", "nein", "oui", "non", "true", "false", "maybe"})  # a reply begins with these
UNITS = {word: line.split()[0] for line in (
    "% percent pct prozent|€ eur euro|$ usd dollar|£ gbp|° degree|°c celsius|°f fahrenheit|w watt|kw kilowatt"
    "|mw megawatt|gw gigawatt|milliw milliwatt|wh watthour|kwh kilowatthour|mwh megawatthour|v volt|kv kilovolt"
    "|milliv millivolt|a amp ampere|millia milliamp milliampere|hz hertz|khz kilohertz|mhz megahertz|ghz gigahertz"
    "|pa pascal|kpa kilopascal|mpa megapascal|bar|mbar millibar|psi|n newton|kn kilonewton|nm|j joule|kj kilojoule"
    "|m metre meter|mm millimetre millimeter|cm centimetre centimeter|km kilometre kilometer|in inch inche"
    "|ft foot feet|mile|knot kt|m/s|km/h kmh kph|m2|m3|l litre liter|ml millilitre milliliter|l/min|g gram gramme"
    "|mg milligram|kg kilogram kilogramme kilo|t tonne ton|ms millisecond|s sec second sekunde sekunden"
    "|min minute minuten|h hr hour std stunde stunden|day tag tage tagen|week woche wochen|month monat monate"
    "|year yr jahr jahre|rpm|db|b byte|kb kilobyte|mb megabyte|gb gigabyte"
).split("|") for word in line.split()}  # fmt: skip
NUMERALS = {
    word: str(n) for n, word in enumerate("two three four five six seven eight nine ten eleven twelve".split(), 2)
}
SCALES = {"thousand": 3, "million": 6, "billion": 9}
MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec".split()
MONTH = f"(?P<m>(?:{'|'.join(MONTHS)})[a-z]*)\\.?"
DATES = [re.compile(pattern, re.IGNORECASE) for pattern in (
    rf"\b(?P<d>\d\d?)(?:st|nd|rd|th|\.)? (?:of )?{MONTH},? (?P<y>\d{{4}})\b",
    rf"\b{MONTH} (?P<d>\d\d?)(?:st|nd|rd|th)?,? (?P<y>\d{{4}})\b",
    r"\b(?P<d>\d\d?)\.(?P<m>\d\d?)\.(?P<y>\d{4})\b",
)]  # fmt: skip
SUPERSCRIPT = re.compile("(?<=\\d)[⁺⁻]?[⁰¹²³⁴⁵⁶⁷⁸⁹]+")
GROUPS = r"(?<![\w.,])[1-9]\d{0,2}"  # the first digits of a number that separators group in threes
CLEANED = [(re.compile(pattern), put) for pattern, put in (
    ("[\u00ad\u200b-\u200f\u2060\ufeff'’‘`]", ""),  # what cannot be seen, and apostrophes: 1'000, Brackwell's
    (r"(?i)\bdegrees? (?=(celsius|fahrenheit|[cf])\b)", "°"), (r"°\s*([CFcf])(elsius|ahrenheit)?\b", r"°\1"),
    (r"(?i)\bper cent\b", "%"), (r"(?i)watt[- ]hour", "watthour"), (r"(?<=\d)\s?m(?=[WVAJN]|Hz|Pa)", " milli"),
    ("(?<=\\d)\\s*—\\s*(?=\\d)", "-"), ("—", " "), ("[‐‑‒–]", "-"),
    ("(?<!\\d)(?<!\\d\\s)−\\s*(?=[\\d.])", " -"), ("−", "-"), (r"(?i)\b(minus|negative) (?=[\d.])", " -"),
    (r"(?<=\d) - (?=\d)", "-"), (r"(?i)(-?)(US\$|[€$£]|\b(?:eur|usd|gbp)\b)\s*(-?\d(?:[\d., ]*\d)?)", r"\1\3 \2"),
    (rf"{GROUPS}(?: \d{{3}})+(?!\d)", lambda found: found[0].replace(" ", "")),
    (rf"{GROUPS}(?:,\d{{3}})+(?![\d,])", lambda found: found[0].replace(",", "")),
    (rf"{GROUPS}(?:\.\d{{3}})+(?=,\d+(?!\d|,\d))", lambda found: found[0].replace(".", "")),
    (rf"{GROUPS}(?:\.\d{{3}}){{2,}}(?![\d.]*\d)", lambda found: found[0].replace(".", "")),
    (r"(?<![\w.,])(\d+),(\d+)(?!\d|,\d)", r"\1.\2"), (r"(?<=\d)\s*\*\*\s*(?=\d)", "^"),
    (r"(?<=\d)\s*[x×·*]\s*10\^", "e"), (r"(?<=[^\W\d])\^(?=\d)", ""),
    (r"[^\w+\-./:@^°%#€$£]", lambda found: " ; " if found[0] in ",;!?()[]" else " "),
    (r"(?<!\S)(?:[Tt][Hh][Ee]|[Aa]n|a(?= [^\W\d]))(?!\S)|(?:^|(?<=[.:;] ))A(?= [^\W\d])", " "),
    ("([\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff])", r" \1 "),  # written without spaces
)]  # fmt: skip
THOUSAND = re.compile(rf"({GROUPS})\.(\d00)(?![\d.]*\d)")  # 1.000 is a thousand in some languages, one in others
RANGE = re.compile(r"(?<=\d)(-|\s+(?:to|bis)\s+)(?=\d)")
NUMBER = re.compile(r"(-?)(\d+(?:\.\d+)?|\.\d+)(?:(?:e|(\^))([+-]?\d+))?(?!\.?\d)(.*)")


@lru_cache(maxsize=65536)
def comparable(text: str) -> str:
    """A text in the form in which values are compared: numbers as numbers, units by their symbols, no punctuation."""
    text = SUPERSCRIPT.sub(lambda found: "^" + unicodedata.normalize("NFKC", found[0]).replace("−", "-"), text)
    text = unicodedata.normalize("NFKC", text.replace("º", "°"))
    for pattern in DATES:
        text = pattern.sub(_date, text)
    for pattern, put in CLEANED:
        text = pattern.sub(put, text)
    made: list[str] = []
    after_number = False
    for piece in text.casefold().split():
        literal = bool(made) and made[-1] in ("version", "release", "revision", "rev", "python", "section")
        for word, number in _parts(piece, after_number, literal):
            if word in SCALES and after_number:
                word = _plain(Decimal(made.pop()).scaleb(SCALES[word]))
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
