"""What goes wrong with spans in an application: they are forgotten, and there are too many of them. Both are opt-in."""

from ot_bridge.watch.flood import Flood, Group
from ot_bridge.watch.unfinished import Site, Unfinished, report

__all__ = ["Flood", "Group", "Site", "Unfinished", "report"]
