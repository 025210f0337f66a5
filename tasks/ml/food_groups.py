"""Food groups: the 186 categories of the fact table in fourteen coarse ones, so that a slice holds enough.

The table keeps each food's category as its source names it, in two vocabularies: that of SR Legacy and
Foundation Foods, and that of FNDDS (USDA). The first of `PATTERNS` found in a category decides. What is
prepared from several foods comes before what it is made of: `Meat mixed dishes` are dishes, not meat.
"""

import re

OTHER = "other"
PATTERNS = {
    group: re.compile(pattern, re.IGNORECASE)
    for group, pattern in (
        ("baby_food", r"\bbaby\b|^formula"),
        ("drinks", r"\bcoffee|\btea$|\bbeer|\bwine|^beverages|\bdrinks?\b|\bwater$|\bjuice$|\bsmoothies"),
        (
            "mixed_dishes",
            r"\bdish|^meals|^fast foods|\bpizza|\bburger|\bburritos|\bnachos|\begg rolls|\bsandwich"
            r"|\bsoups?\b|\bfried rice|\bstir-fry|\bramen",
        ),
        ("sweets", r"\bcakes|\bcookies|\bcandy|\bsweets|\bdoughnuts|\bpudding|\bices?\b|\bjams|\bsugars and"),
        (
            "fats_sauces",
            r"\bsauces?\b|\bcondiment|\bdressings|\bmayonnaise|\bspices|\bbutter|\bmargarine|\bfats and oils",
        ),
        ("dairy_eggs", r"\bdairy|\begg|\bmilk|\bcheese|\byogurt|\bcream"),
        ("fish", r"fish\b|\bseafood"),
        ("legumes_nuts", r"\bnuts?\b|\bbeans, peas|\blegume|\bsoy\b"),
        ("meat", r"\bbeef|\bpork|\bpoultry|\bchicken|\blamb|\bbacon|\bsausages|\bfrankfurters|\bmeats?\b"),
        ("snacks", r"\bsnacks?\b|\bchips|\bpopcorn"),
        (
            "grains",
            r"\bcereal|\bgrain|\bpasta|\brice|\bbreads?\b|\brolls|\bbagels|\bcrackers|\bpancakes|\btortillas"
            r"|\boatmeal|\bbaked products",
        ),
        (
            "fruit",
            r"\bfruit|\bapples|\bbananas|berries|\bgrapes|\bmango|\bmelons|\bpeaches|\bpears|\bpineapple",
        ),
        (
            "vegetables",
            r"\bvegetable|\bpotato|\btomato|\bbroccoli|\bcabbage|\bcarrots|\bcorn\b|\blettuce|\bonions|\bspinach"
            r"|\bstring beans|\bcoleslaw",
        ),
    )
}


def food_group(category: str) -> str:
    """The group of a category; `other` if no pattern knows it, as of foods that have no category."""
    return next((group for group, pattern in PATTERNS.items() if pattern.search(category)), OTHER)
