"""The few numbers on a page that nobody measured: they say what the others mean."""

from tasks.reporting.numbers import Number

STAGE = "definition"
# Level of every interval, and below which adjusted p-value a winner may be named.
CONFIDENCE, SIGNIFICANCE = 0.95, 0.05
DEFINITIONS = {
    name: Number(f"definition/{name}", value, STAGE, None, "")
    for name, value in (("confidence", CONFIDENCE), ("significance", SIGNIFICANCE))
}
