"""Entities by rule, beside those that a model finds: dates, amounts of money, addresses, telephone numbers.

Each kind has a module of one shape: it reads a text (or its tokens, :mod:`~smallmesh.entities.reading`) and yields
:class:`~smallmesh.entities.found.Found`. :class:`~smallmesh.entities.rules.Rules` puts them together, ``merge`` makes
one list of what rules and a model found. Importing this loads no library; building the rules loads Babel, linkify-it
and phonenumbers.
"""

from smallmesh.entities.merge import merge
from smallmesh.entities.named import named
from smallmesh.entities.rules import LOCALES, REGIONS, Rules, known_locales, known_regions, rules_for, rules_version

__all__ = ["LOCALES", "REGIONS", "Rules", "known_locales", "known_regions", "merge", "named", "rules_for", "rules_version"]
