"""What the stand-in knows of a city's problems: concepts with their words in two languages.

A concept has one name whatever the language, so that texts about the same thing are near each
other. Words match from their beginning: `leak` finds `leaking`.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from services.fixai.events import Category


@dataclass(frozen=True, slots=True)
class Concept:
    """One kind of problem.

    Attributes:
        severity: 1 to 5, before what the text says about danger.
        words: by which it is found.
    """

    name: str
    category: Category
    severity: int
    words: tuple[str, ...]


CONCEPTS = (
    Concept("pothole", Category.ROAD, 3, ("pothole", "hole in the road", "ổ gà", "hố trên đường")),
    Concept("crack", Category.ROAD, 2, ("crack", "vết nứt", "nứt")),
    Concept("sinkhole", Category.ROAD, 5, ("sinkhole", "road collapse", "hố tử thần", "sụt lún")),
    Concept("pavement", Category.ROAD, 2, ("sidewalk", "pavement", "footpath", "vỉa hè")),
    Concept("manhole", Category.ROAD, 4, ("manhole", "nắp hố ga")),
    Concept("lamp", Category.LIGHTING, 2, ("street light", "streetlight", "lamp", "đèn đường")),
    Concept("dark", Category.LIGHTING, 2, ("pitch dark", "dark at night", "tối om")),
    Concept("flicker", Category.LIGHTING, 1, ("flicker", "nhấp nháy")),
    Concept("wire", Category.LIGHTING, 5, ("exposed wire", "live wire", "dây điện hở")),
    Concept("garbage", Category.WASTE, 2, ("garbage", "trash", "rubbish", "litter", "rác")),
    Concept("dumping", Category.WASTE, 3, ("dumped", "mattress", "old sofa", "đổ trộm")),
    Concept("bin", Category.WASTE, 2, ("overflowing bin", "bin is full", "thùng rác đầy")),
    Concept("smell", Category.WASTE, 2, ("smell", "stink", "mùi hôi")),
    Concept("needles", Category.WASTE, 4, ("needles", "syringe", "kim tiêm")),
    Concept("pipe", Category.WATER, 4, ("burst pipe", "water main", "vỡ ống nước")),
    Concept("leak", Category.WATER, 3, ("leak", "rò rỉ")),
    Concept("flood", Category.WATER, 4, ("flood", "under water", "ngập")),
    Concept("drain", Category.WATER, 3, ("drain", "sewer", "gutter", "tắc cống", "cống thoát")),
    Concept("fallen tree", Category.GREEN, 4, ("fallen tree", "tree fell", "cây đổ")),
    Concept("branch", Category.GREEN, 3, ("branch", "cành cây")),
    Concept("overgrown", Category.GREEN, 1, ("overgrown", "hedge", "weeds", "cỏ dại")),
    Concept("graffiti", Category.GRAFFITI, 1, ("graffiti", "spray", "vẽ bậy")),
    Concept("posters", Category.GRAFFITI, 1, ("poster", "sticker", "dán quảng cáo")),
    Concept("signal", Category.TRAFFIC, 4, ("traffic light", "traffic signal", "đèn giao thông")),
    Concept("sign", Category.TRAFFIC, 2, ("stop sign", "road sign", "biển báo")),
    Concept("crossing", Category.TRAFFIC, 2, ("crosswalk", "zebra crossing", "vạch kẻ đường")),
    Concept("noise", Category.NOISE, 2, ("noise", "loud", "karaoke", "tiếng ồn", "ồn ào")),
    Concept("works", Category.NOISE, 2, ("jackhammer", "drilling at night", "khoan đêm")),
)
_DANGER = ("dangerous", "accident", "injured", "fell off", "children", "nguy hiểm", "tai nạn")
_MINOR = ("small", "minor", "slightly", "nhỏ")
_SPAM = (
    "cheap",
    "discount",
    "click here",
    "casino",
    "earn money",
    "crypto",
    "giảm giá",
    "vay tiền",
    "kiếm tiền",
)
_NOT_GONE = ("not fixed", "not been fixed", "isn't fixed", "still", "vẫn", "chưa")
_GONE = (
    "fixed",
    "repaired",
    "no longer there",
    "has been removed",
    "has been cleaned",
    "works again",
    "đã sửa",
    "đã khắc phục",
    "đã dọn",
)
_ENGLISH = """a an and are at be but by for from has have i in is it its my near of on or our please
so that the there they this to very was we with you your"""
_VIETNAMESE = """ở và là có của bị rất cho tại này đó một các những được xin hãy trên trước"""
_STOP = frozenset(f"{_ENGLISH} {_VIETNAMESE}".split())
_WORD = re.compile(r"\w+")
_NAME = re.compile(r"(?<=[\w,] )\w+")


def plain(text: str) -> str:
    """In one form of Unicode, in lower case."""
    return unicodedata.normalize("NFC", text).casefold()


def content(text: str) -> list[str]:
    """The words that carry meaning, in their order."""
    return [word for word in _WORD.findall(plain(text)) if word not in _STOP]


def names(text: str) -> frozenset[str]:
    """The words that are written as names or numbers, not those that begin a sentence."""
    found = _NAME.findall(unicodedata.normalize("NFC", text))
    return frozenset(plain(word) for word in found if word[0].isdigit() or word[0].isupper())


def _pattern(words: tuple[str, ...]) -> re.Pattern[str]:
    parts = (re.escape(plain(word)) for word in sorted(words, key=len, reverse=True))
    return re.compile(rf"(?<!\w)(?:{'|'.join(parts)})")


_CONCEPTS = tuple((concept, _pattern(concept.words)) for concept in CONCEPTS)
_PATTERNS = {
    "danger": _pattern(_DANGER),
    "minor": _pattern(_MINOR),
    "spam": re.compile(rf"{_pattern(_SPAM).pattern}|https?://"),
    "not gone": _pattern(_NOT_GONE),
    "gone": _pattern(_GONE),
}


def concepts(text: str) -> list[Concept]:
    """The concepts that a text names, the first named first."""
    read = plain(text)
    found = [(match.start(), c) for c, pattern in _CONCEPTS if (match := pattern.search(read))]
    return [concept for _, concept in sorted(found, key=lambda each: each[0])]


def tells(what: str, text: str) -> bool:
    """Whether a text has words of `danger`, `minor`, `spam`, `gone` or `not gone`."""
    return _PATTERNS[what].search(plain(text)) is not None
