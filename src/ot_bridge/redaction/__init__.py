"""Nothing sensitive leaves: rules for keys and texts, pure; :mod:`ot_bridge.redacting` applies them to spans."""

from ot_bridge.redaction.engine import HashKey, Redactor
from ot_bridge.redaction.rules import RULES, Rule, RuleError

__all__ = ["RULES", "HashKey", "Redactor", "Rule", "RuleError"]
