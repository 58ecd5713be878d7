"""Tidewater, an invented operator of tidal-power machines: a whole domain made from one table of facts and a seed."""

from .make import generate
from .world import CHANGING, FIELDS, Asset, World, make_world

__all__ = ["CHANGING", "FIELDS", "Asset", "World", "generate", "make_world"]
