"""Names what a wording asks for, by its words: "mother", "birth place" ... where that can be told, or nothing.

Sentence vectors hold mother and father for nearly the same; the words tell them apart. Knows English and the records'
relations (most of them Wikidata properties); knows no model.
"""

from __future__ import annotations

import re
from functools import cache

# The first that matches counts. Names before a dot are fields: within one, two names may overlap ("country", "nation").
_RELATIONS: tuple[tuple[str, str], ...] = (
    ("followed by", r"followed by|follower of|successor|succeeded by"),
    ("follows", r"\bfollows\b|preceded by|predecessor"),
    ("number of children", r"number of children"),
    ("patronym", r"patronym|matronym"),
    ("family name", r"family name|surname|last name"),
    ("given name", r"given name|first name"),
    ("mother", r"\b(mother(?!s? tongue)|mom|maternal|gave birth)\b|\b(woman|lady)\b.*\bborn\b|\b(lady|woman)\b.*birth"),
    ("father", r"\b(father(?!-in-law)\w*|dad|paternal|male parent)\b"),
    ("sibling", r"\b(siblings?|sisters?|brothers?)\b"),
    ("spouse", r"\b(spouse|husband|wife|married|marriage)\b"),
    ("child", r"\b(child(?!hood)|children|daughter|son)\b"),
    ("sexual orientation", r"sexual orientation"),
    ("gender", r"\b(sex|gender|male or female)\b"),
    ("eye color", r"eye colou?r"),
    ("burial", r"\bbur(ied|ial)\b"),
    ("death cause", r"\b(cause|manner|causes) of .*death|\bkilled\b|\bdied? (of|from)\b"),
    ("death date", r"\b(date|day|year|when)\b.*\b(death|died?|dead)\b|\b(death|died?)\b.*\b(date|year)\b"),
    ("death place", r"\b(die[sd]?|death|dead|passed away|expired at|life ended|lost their life|succumbed)\b"),
    ("birth date", r"\b(date|day|year|when)\b.*\b(birth|born)\b|\bbirth date\b|\bbirthday\b"),
    (
        "birth place",
        r"\bbirth ?(place|town|city|country|home)\b|\b(place|city|town|country) of birth\b|\bborn\b|native city|birthplace",
    ),
    ("taxon.rank", r"taxon rank"),
    ("taxon.parent", r"parent taxon"),
    ("taxon", r"\b(species|taxon|living (being|creature|thing)|genus)\b"),
    ("chromosome", r"chromosome"),
    ("programming language", r"programming language"),
    ("language.native", r"native language|mother tongue|native speaker"),
    ("language", r"\blanguages?\b|\bspeaks?\b"),
    ("sport.league", r"\bleague\b"),
    ("sport.team", r"\b(team|club)\b"),
    ("sport", r"\bsport\b|\bposition\b.*\bplay|\bplays?\b.*\bposition|position on the field|football position"),
    ("religion", r"\breligio\w*|\bfaith\b"),
    ("award", r"\baward|\bprize\b"),
    ("position", r"\b(position|office|title|role)\b"),
    (
        "work",
        r"\b(occupation|profession|job|career|works? as|field of (work|activity)|domain of|expertise|works in the (field|area))\b",
    ),
    ("employer", r"\bemploy(er|ed)\b|\bworks? for\b|work location|\bworked\b|\bwork in\b"),
    ("education", r"\b(educated|college|university|alma mater|studied|attended)\b"),
    ("ethnic group", r"\bethnic"),
    ("capital", r"\bcapital\b"),
    ("twin city", r"\btwin\b"),
    ("continent", r"\bcontinent\b"),
    ("place.country", r"\b(country|nation(ality)?|national|citizen\w*|homeland|land)\b"),
    ("constellation", r"\bconstellation\b"),
    ("celestial body", r"\b(planet|moon|celestial|astronomical)\b"),
    ("river", r"\b(river|tributary|flow into|body of water)\b"),
    ("named after", r"\bnamed? (after|for)\b|\bcalled after\b"),
    ("head of government", r"head of (government|state)|prime minister|mayor"),
    ("director", r"\bdirect(ed|or|ion)\b"),
    ("screenwriter", r"\bscreen ?writer\b"),
    ("composer", r"\bcompos(er|ed)\b"),
    ("cast", r"\b(cast|stars? (in|of)|acted)\b"),
    ("illustrator", r"\billustrat"),
    ("author", r"\b(author|wrote|written by|writer)\b"),
    ("release.label", r"\blabel\b"),
    (
        "release",
        r"\b(publish\w*|distributor|released?|production company|studio|performer|performed|recorded|artist)\b",
    ),
    ("network", r"\b(network|channel|aired?|air on|debut\w*|premier\w*|broadcast\w*)\b"),
    ("discoverer", r"\b(discovered|discoverer|explorer)\b"),
    ("conservation status", r"\b(conservation|iucn|endangered|threatened|extinction)\b"),
    ("voice type", r"\b(voice|vocal|sing)\b"),
    ("instrument", r"\binstrument"),
    ("war", r"\b(war|conflict|battle)\b"),
    ("illness", r"\b(medical|illness|disease\w*)\b"),
    ("crime", r"\bcrime\b"),
    ("stadium", r"\b(stadium|arena)\b"),
    ("license", r"\blicense\b"),
    ("material", r"\b(material|surface)\b"),
    ("vessel class", r"\b(vessel|ship|seaship|submarine)\b"),
    ("epoch", r"\bepoch\b"),
    ("color", r"\bcolou?r\b"),
    ("date.end", r"\b(cease|ended?|abolished|expire)\b"),
    ("date", r"\b(year|date|day|when)\b"),
    ("fiction", r"\b(fictional|fictitious|series|show|character)\b"),
    ("family", r"\bfamily\b|\blineage\b"),
    (
        "maker",
        r"\b(manufactur\w*|develop\w*|design\w*|architect|creat\w*|product|produced?|made by|built|founder|inventor|founded by)\b",
    ),
)
_PATTERNS = tuple((name, re.compile(pattern, re.IGNORECASE)) for name, pattern in _RELATIONS)


@cache
def relation_named(wording: str) -> str | None:
    """Return what a wording asks for, by its words alone; None where they do not tell."""
    return next((name for name, pattern in _PATTERNS if pattern.search(wording)), None)


def surely_differ(first: str, second: str) -> bool:
    """Return whether two wordings ask for different things, by their words: both are known, and of different fields."""
    a, b = _field(first), _field(second)
    return a is not None and b is not None and a != b


def may_agree(first: str, second: str) -> bool:
    """Return whether two wordings ask, by their words, for things of one field."""
    field = _field(first)
    return field is not None and field == _field(second)


def _field(wording: str) -> str | None:
    name = relation_named(wording)
    return None if name is None else name.split(".")[0]
