"""The sums that metrics are made of. They can be added over days, sites and slots, unlike the metrics.

visitors        see engine.py
visits          visits that start in the range
starts          the same, with their bounces and duration_ms; by event:page those that entered there
pageviews, events, engaged_ms
scroll_sum      percent; the deepest scroll of each (visit, local day, page), added up
scroll_visits   how many of those there are
"""

from __future__ import annotations

from typing import Final

VISITORS: Final = "visitors"
VISITS: Final = "visits"
START_SUMS: Final = frozenset({"starts", "bounces", "duration_ms"})
EVENT_SUMS: Final = frozenset({"pageviews", "events", "engaged_ms"})
SCROLL_SUMS: Final = frozenset({"scroll_sum", "scroll_visits"})
