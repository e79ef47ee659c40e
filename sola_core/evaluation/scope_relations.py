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
    (
        "mother",
        r"\b(mother(?!s? tongue)|mom|maternal|gave birth)\b|\b(woman|lady|wife)\b.*\bborn\b|\b(lady|woman)\b.*birth",
    ),
    ("father", r"\b(father(?!-in-law)\w*|dad|paternal|male parent)\b"),
    ("twin city", r"\b(twin(ned)?|sister city)\b"),
    ("sibling", r"\b(siblings?|sisters?|brothers?)\b"),
    ("spouse", r"\b(spouse|husband|wife|married|marriage)\b"),
    ("child", r"\b(child(?!hood)|children|daughter|son)\b"),
    ("sexual orientation", r"sexual orientation"),
    ("gender", r"\b(sex|gender|male or female)\b"),
    ("eye color", r"eye colou?r"),
    ("burial", r"\bbur(ied|ial)\b"),
    (
        "death cause",
        r"\b(cause|manner|causes) of .*death|\bkilled\b|\bdied? (of|from)\b|\bhow did\b.*\bdie\b"
        r"|\b(disease|illness|medical|accident|factor)\b.*\b(died?|death)\b|\bdeath cause\b",
    ),
    (
        "death date",
        r"^(?!.*\blived?\b).*\b(date|day|year|time|when)\b.*\b(death|died?|dead|pass away)\b|\b(death|died?)\b.*\b(date|year)\b",
    ),
    (
        "death place",
        r"\b(die[sd]?|death|dead|pass(ed)? away|last days|expired at|life ended|lost their life|succumbed)\b",
    ),
    ("birth date", r"\b(date|day|year|when)\b.*\b(birth|born)\b|\bbirth date\b|\bbirthday\b|\bborn on\b"),
    (
        "birth place",
        r"\bbirth ?(place|town|city|country|home)\b|\b(place|city|town|country) of birth\b|\bborn\b|native city|birthplace",
    ),
    ("taxon.rank", r"taxon rank"),
    ("taxon.parent", r"parent taxon"),
    ("conservation status", r"\b(conservation|iucn|endangered|threatened|extinction|red list)\b"),
    ("taxon", r"\b(species|taxon|living (being|creature|thing)|genus)\b"),
    ("chromosome", r"chromosome"),
    ("programming language", r"programming language"),
    ("language.native", r"native language|mother tongue|native speaker"),
    ("language", r"\blanguages?\b|\bspeaks?\b"),
    ("league", r"\bleague\b"),
    (
        "position.sport",
        r"\bposition\b.*\b(play|field|team)|\bplays?\b.*\bposition|\bfootball\b.*\bposition|\bon the field\b",
    ),
    ("team", r"\b(team|club)\b"),
    ("sport", r"\bsport\b"),
    ("religion", r"\breligio\w*|\bfaith\b"),
    ("award", r"\baward|\bprize\b"),
    ("position", r"\b(position|office|title|role)\b"),
    (
        "work",
        r"\b(occupation|profession|job|career|works? as|field of (work|activity)|domain of|expertise|works in the (field|area))\b",
    ),
    (
        "employer",
        r"\bemploy(er|ed|ment)\b|\bworks? for\b|work location|place of work|\bworked (?!on\b)(?!.*architect)|\bwork in\b",
    ),
    ("education", r"\b(educated|college|university|alma mater|studied|attended)\b"),
    ("ethnic group", r"\bethnic"),
    ("capital", r"\bcapital\b"),
    ("continent", r"\bcontinent\b"),
    ("head of state", r"head of state"),
    ("place.country", r"\b(country|nation(ality)?|national|citizen\w*|homeland|land)\b"),
    ("constellation", r"\bconstellation\b"),
    ("celestial body", r"\b(planet|moon|celestial|astronomical)\b"),
    ("river", r"\b(river|tributary|flow into|body of water)\b"),
    ("named after", r"\bnamed? (after|for)\b|\bcalled after\b"),
    ("head of government", r"head of.* government|prime minister|mayor"),
    ("director", r"\bdirect(ed|or|ion)\b"),
    ("screenwriter", r"\b(screen ?(writer|play)|script)\b"),
    ("composer", r"\bcompos(er|ed)\b"),
    ("cast", r"\b(cast|stars? (in|of)|acted)\b"),
    ("illustrator", r"\billustrat"),
    ("author", r"\b(author|wrote|written by|writer)\b"),
    ("license", r"\blicen[cs]e\b"),
    ("place.origin", r"\b(created|developed|formed|formulated|originat\w+|started|founded) in\b(?! the year)"),
    ("label", r"\b(label|record company)\b"),
    ("maker.release.year", r"\b(year|when|date)\b.*\b(released?|publi\w+|come out)\b|release date|publication date"),
    (
        "maker.release",
        r"\b(publish\w*|distributor|released?|production company|studio|performer|performed|recorded|artist)\b",
    ),
    ("maker.network", r"\b(network|channel|station|aired?|air on|debut\w*|premier\w*|broadcast\w*)\b"),
    ("discoverer", r"^(?!.*\b(year|when)\b).*\b(discover(ed|er)|explorer|invent(ed|or))\b"),
    ("voice type", r"\b(voice|vocal|sing)\b"),
    ("instrument", r"\binstrument"),
    ("war", r"\b(war|conflict|battle)\b"),
    ("illness", r"\b(medical|illness|disease\w*)\b"),
    ("crime", r"\bcrime\b"),
    ("stadium", r"\b(stadium|arena)\b"),
    ("material", r"\b(material|surface)\b"),
    ("vessel class", r"\b(vessel|ship|seaship|submarine)\b"),
    ("epoch", r"\bepoch\b"),
    ("color", r"\bcolou?r\b"),
    ("date.end", r"\b(cease|ended?|abolished|expire)\b"),
    ("date", r"\b(year|date|day|when)\b"),
    ("fiction", r"\b(fictional|fictitious|series|show|character)\b"),
    ("family", r"\b(family|lineage|dynasty)\b"),
    (
        "maker",
        r"\b(manufactur\w*|develop\w*|design\w*|architect|creat\w*|product|produced?|made by|built|founder|founded by)\b",
    ),
)
# What a wording with this name asks for is sure, in all sources: its words have no second reading and no second direction.
EXACT = frozenset(
    {
        "author",
        "birth date",
        "birth place",
        "celestial body",
        "chromosome",
        "composer",
        "conservation status",
        "constellation",
        "death cause",
        "death date",
        "death place",
        "director",
        "discoverer",
        "ethnic group",
        "father",
        "gender",
        "head of government",
        "head of state",
        "illustrator",
        "label",
        "language.native",
        "league",
        "license",
        "mother",
        "named after",
        "programming language",
        "screenwriter",
        "sexual orientation",
        "stadium",
        "team",
        "twin city",
        "vessel class",
        "voice type",
    }
)
_PATTERNS = tuple((name, re.compile(pattern, re.IGNORECASE)) for name, pattern in _RELATIONS)


@cache
def relation_named(wording: str) -> str | None:
    """Return what a wording asks for, by its words alone; None where they do not tell."""
    return next((name for name, pattern in _PATTERNS if pattern.search(wording)), None)


def surely_agree(first: str, second: str) -> bool:
    """Return whether two wordings ask for the same thing, by their words: both name the same one of EXACT."""
    name = relation_named(first)
    return name in EXACT and name == relation_named(second)


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
