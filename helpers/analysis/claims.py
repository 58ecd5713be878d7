"""Claims (`rules/claims.yaml`, locked before the runs, and others), each judged by what was measured."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Literal, Self

from pydantic import ConfigDict, model_validator
from pydantic.dataclasses import dataclass

from ..data import get_profile
from . import rules
from .comparison import Comparison
from .intervals import Interval, detectable, holm, p_value
from .quantities import METRICS, Quantity, compare

VERDICTS = ("shown", "by construction", "contradicted", "not shown", "not measured")
LEVEL = 0.05  # of significance
ROUNDING = 1e-6  # how far two values may lie apart that are the same by construction


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Claim:
    """How two quantities must relate, with a `margin`; see `rules/claims.yaml`."""

    relation: Literal["above", "below", "same", "no_loss"]
    first: Quantity
    second: Quantity
    margin: float = 0.0
    id: str = ""
    text: str = ""
    source: str = ""
    headline: bool = False
    kind: Literal["measured", "by construction"] = "measured"

    @model_validator(mode="after")
    def _whole(self) -> Self:
        alike = all(getattr(self.first, name) == getattr(self.second, name) for name in ("metric", "set", "part"))
        if (self.is_ratio or self.second.arm) and not alike:
            raise ValueError("`first` and `second` must have the same metric, set and part, and a ratio needs two arms")
        if self.relation in ("same", "no_loss") and not self.margin and self.kind == "measured":
            raise ValueError(f"`{self.relation}` needs a `margin`: no measurement shows that nothing differs at all")
        return self

    @property
    def is_ratio(self) -> bool:
        """Whether it is about perplexities or times, which are compared by their ratio."""
        return METRICS[self.first.metric].ratio

    @property
    def bounds(self) -> list[tuple[int, float]]:
        """What the difference, or the ratio, must lie above (1) or below (-1); `same` has a bound on either side."""
        below = -1 if self.is_ratio else 1
        ways = {"above": {1: 1}, "below": {-1: below}, "no_loss": {1: -1}, "same": {1: -1, -1: 1}}[self.relation]
        return [(way, self.is_ratio + sign * self.margin) for way, sign in ways.items()]


@dataclass(frozen=True)
class Verdict:
    """How a claim fared, and why: the difference or ratio that was `measured`, pooled over worlds, and that of each.

    `p` is corrected (Holm) for the number of headline claims; `detectable` is the smallest difference (or ratio) that
    these measurements would have shown.
    """

    claim: Claim
    verdict: str
    why: str
    measured: Interval | None = None
    worlds: Mapping[int, float] = field(default_factory=dict)
    p: float | None = None
    detectable: float | None = None


def read_claims(name: str = "claims") -> list[Claim]:
    """The claims of a data file: "claims" about the kit's own worlds, or those about "own_data"."""
    return rules.read_rules(name, list[Claim])


def judge(comparison: Comparison, claims: Sequence[Claim] | None = None) -> list[Verdict]:
    """Judges every claim (those of `rules/claims.yaml` unless given), in order, by what was measured.

    A claim is shown, or contradicted, where its p-value says so (both one-sided tests for `same`, the one for
    `no_loss`; those of headline claims are corrected together), and where every world for itself lies on that side.
    """
    claims = read_claims() if claims is None else claims
    found = [compare(comparison, claim.first, claim.second) for claim in claims]
    p = [1.0 if isinstance(each, str) else _p(claim, each) for claim, each in zip(claims, found, strict=True)]
    family = [i for i, claim in enumerate(claims) if claim.headline and not isinstance(found[i], str)]
    for place, corrected in zip(family, holm([p[place] for place in family]), strict=True):
        p[place] = corrected
    return [_verdict(*each, comparison) for each in zip(claims, found, p, strict=True)]


def counts(verdicts: Sequence[Verdict]) -> dict[str, int]:
    """How many claims have each verdict, the best first; verdicts that none has are left out."""
    found = Counter(each.verdict for each in verdicts)
    return {name: found[name] for name in VERDICTS if found[name]}


def verdicts_as_text(verdicts: Sequence[Verdict]) -> str:
    """The verdicts for a terminal: a line a claim with what was measured, and how many have each verdict."""
    lines = [
        f"{v.verdict.upper():<15} {v.claim.id}: {v.claim.text} {v.why}" + f" ({v.claim.source})" * bool(v.claim.source)
        for v in verdicts
    ]
    summary = ", ".join(f"{count} {name}" for name, count in counts(verdicts).items())
    return "\n".join([*lines, "", f"{len(verdicts)} claims: {summary}"])


def _p(claim: Claim, found: Interval) -> float:
    """The p-value of a claim, or of its opposite where the value lies beyond a bound."""
    holds = _holds(claim, found["value"])
    decide = [bound for way, bound in claim.bounds if (way * (found["value"] - bound) > 0) == holds]
    return max(p_value(_logs(found), math.log(each)) if claim.is_ratio else p_value(found, each) for each in decide)


def _logs(found: Interval) -> Interval:
    """A ratio and its ends as logarithms, in which it is symmetric."""
    return found | {name: math.log(found[name]) if found[name] > 0 else -math.inf for name in ("value", "low", "high")}


def _holds(claim: Claim, value: float) -> bool:
    return all(way * (value - bound) > 0 for way, bound in claim.bounds)


def _verdict(claim: Claim, found: Interval | str, p: float, comparison: Comparison) -> Verdict:
    if isinstance(found, str):
        return Verdict(claim, "not measured", found)
    alone = {seed: compare(world, claim.first, claim.second) for seed, world in comparison.worlds.items()}
    worlds = {seed: each["value"] for seed, each in alone.items() if not isinstance(each, str)}
    seen = None
    if found["n"] and math.isfinite(found["high"]):
        seen = math.exp(claim.bounds[0][0] * detectable(_logs(found))) if claim.is_ratio else detectable(found)
    why, holds = _in_words(claim, found, worlds, seen), _holds(claim, found["value"])
    if claim.kind == "by construction":
        alike = abs(found["value"] - claim.is_ratio) <= max(claim.margin, ROUNDING)
        return Verdict(claim, claim.kind if alike else "contradicted", why, found, worlds)
    why += f" Corrected p = {p:.2g}." if claim.headline else ""
    sure = p < LEVEL and all(_holds(claim, value) == holds for value in worlds.values())
    profile = get_profile(comparison.results[0].profile)
    tuned = any(r.config.get("adapter") for r in comparison.results if r.arm in (claim.first.arm, claim.second.arm))
    if sure and tuned and profile.training_share < 1:
        few = f"{profile.training_share:.0%} of a training's passes: too few to decide."
        why, sure = f"{why} The {profile.name} profile makes {few}", False
    verdict = "not shown" if not sure else "shown" if holds else "contradicted"
    return Verdict(claim, verdict, why, found, worlds, p, seen)


def _in_words(claim: Claim, found: Interval, worlds: Mapping[int, float], seen: float | None) -> str:
    """What was measured, in how many worlds, and what was claimed."""
    sign, unit, what = ("", "a ratio of ", "ratio") if claim.is_ratio else ("+", "", "difference")
    value, low, high = (f"{found[name]:{sign}.2f}" for name in ("value", "low", "high"))
    why = f"Measured {unit}{value}" + f" [{low}, {high}]" * (low != high)
    why += f" with {int(found['n'])} {METRICS[claim.first.metric].counted}" * (found["n"] > 0)
    each = ", ".join(f"{seed}: {one:{sign}.2f}" for seed, one in worlds.items())
    bounds = " and ".join(f"{'above' if way > 0 else 'below'} {bound:g}" for way, bound in claim.bounds)
    why += f" ({f'worlds {each}' if len(worlds) > 1 else 'one world'}); claimed: {bounds}."
    least = "Largest" if claim.is_ratio and seen and seen < 1 else "Smallest"
    return why + (f" {least} {what} to be seen: {seen:.2f}." if seen else "")
