"""The configuration: one YAML file -> one frozen `Config`, with every mistake reported at once, at its line.

Rule: only the composition root and the commands read it; everyone else receives plain values.
"""

from zoe_grpcd.config.address import runtime_directory
from zoe_grpcd.config.dump import dump
from zoe_grpcd.config.load import Loaded, defaults, find, imported, load
from zoe_grpcd.config.model import Config
from zoe_grpcd.config.problem import ConfigError, Problem
from zoe_grpcd.config.schema import json_schema
from zoe_grpcd.config.source import Source

__all__ = [
    "Config",
    "ConfigError",
    "Loaded",
    "Problem",
    "Source",
    "defaults",
    "dump",
    "find",
    "imported",
    "json_schema",
    "load",
    "runtime_directory",
]
