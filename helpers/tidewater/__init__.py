"""Tidewater, an invented operator of tidal-power machines: a whole domain made from one table of facts and a seed."""

from helpers.tidewater.make import generate
from helpers.tidewater.world import CHANGING, FIELDS, Asset, World, make_world

__all__ = ["CHANGING", "FIELDS", "Asset", "World", "generate", "make_world"]
