"""Which language a text is probably in: by its script, and among languages of one script by letters of their own and by
their commonest words.

It knows the languages of ``COMMON`` and ``SCRIPTS`` and no others: a text in another one with the same letters is taken for
a relative, or for none. A few words in capital letters, names or code are none. It needs no model and no network.
"""

from __future__ import annotations

import re
from collections import Counter

READ = 1000  # characters of a text that are looked at
FEWEST = 2  # common words that a guess needs
LEAST = 0.08  # of the words
LEAD = 1.25  # over the next language

# the commonest words of little meaning of each language, those that tell it from its relatives among them
COMMON = {
    "en": "the of and to in is that it was for on are with as at be this have from not but they his her you which were",
    "de": "der die und das den von zu ist mit nicht ein eine im auf für dem des sich auch als wird bei einen wie oder ich",
    "nl": "de het een van en in is dat op te zijn met voor niet aan er om ook als door naar bij maar uit wordt deze ik",
    "fr": "le la les des et est un une du que qui dans pour pas sur au par plus ne ce avec sont il elle nous cette aux",
    "es": "el la los las de y que en un una por con para es del se no su al lo como más pero sus fue este está son",
    "pt": "o a os as de e que do da em um uma para com não por se dos das no na mais foi ao como mas são você seu",
    "it": "il la di e che un una del della in per con non è sono le gli i si da dei nel alla anche come più al ha",
    "ca": "el la els les de i que en un una per amb no és del al dels més va són aquest com però ha seva han",
    "ro": "și de la în a cu că nu pe o un este din pentru care sunt mai se au fost prin lui ca dar sau",
    "sv": "och att det i en som är på av för med den till har inte om ett men var jag de från eller när kan efter blev sig hon mig några ut upp bli",
    "da": "og at det i en som er på af for med den til har ikke om et men var jeg de fra eller når kan også efter blev sig hun mig nogle ud op blive",
    "no": "og å det i en som er på av for med den til har ikke om et men var jeg de fra eller når kan også etter ble seg hun meg noen ut opp bli",
    "fi": "ja on ei että se hän oli mutta joka kun myös ovat tai niin kuin ole sen mukaan vuonna hänen sekä jos vain",
    "et": "ja on ei et see oli ta kui aga ka mis või oma seda kes pärast aastal siis nii veel olid mida",
    "hu": "a az és hogy nem is egy ez volt van meg de csak el már mint vagy még azt ha ki be lehet",
    "pl": "i w nie się na z że do to jest jak o po co ale od za przez tak by dla są był oraz może tym",
    "cs": "a v je se na že to s z do i o jako pro ale po by za jsem jsou byl které nebo jeho podle není když který která kterou jsou byla mu",
    "sk": "a v je sa na že to s z do aj o ako pre ale po by za som sú bol ktoré alebo jeho podľa nie keď ktorý ktorá ktorú sú bola mu",
    "sl": "in je v na se da za so z ki ne pri tudi ali po bi kot iz še od ter bil ni lahko",
    "hr": "i je u na se da za su od s ne koji kao o iz to ili što bi nije bio samo ali može prema",
    "lt": "ir yra į kad su iš tai bet kaip jis buvo ne ar apie už nuo po metų dėl prie taip jau",
    "lv": "un ir ar no uz par ka kas bet arī tas kā viņš bija vai lai pēc tika gan ne šo gada",
    "tr": "ve bir bu da de için ile çok ne o daha olarak olan gibi var kadar en sonra ama değil her",
    "az": "və bir bu ilə üçün də da olan daha çox ki sonra o onun kimi edir olaraq var hər isə",
    "id": "yang dan di dengan untuk dari ini itu tidak pada adalah dalam akan juga ke karena oleh saya ada atau telah",
    "tl": "ang ng sa na at mga ay si ni para hindi ito may kung siya ako niya nang isang kanyang ko",
    "vi": "và của là có không được cho các một trong những người với này đã đến từ khi để như cũng về",
    "sw": "na ya wa kwa ni katika la za cha kuwa hii huo kama lakini pia alikuwa watu yake hiyo baada",
    "eo": "la de kaj en estas al ne ke por kun mi ĝi sed li oni pri kiu estis el ankaŭ",
    "ru": "и в не на что с он как это по но они из у за то от его для же был к так бы мы я",
    "uk": "і в не на що з як та це до за його він для від але був є про які під також бути",
    "bg": "и на в да се за от е не с са по че като при той до но това са или след беше",
    "sr": "и је у на се да за су од са не који као о из то или што би није био само али",
    "ar": "في من على أن إلى التي الذي عن هذا ما لا مع كان هذه كما بعد قد أو بين هو كل لم",
    "fa": "و در به از که این را با است برای آن یک خود تا شد بر هم می نیز اما شده کرد بود",
    "ur": "کے کی میں ہے اور سے کا کو اس نے کہ پر یہ ہیں تھا نہیں بھی ایک وہ کر کیا",
    "hi": "के है में की और को से का एक पर यह कि ने हैं भी नहीं था इस लिए तो कर हो",
    "mr": "आहे आणि या च्या ने व हे की ते तो होते त्या असे मध्ये एक नाही होता केला काही आहेत",
    "ne": "छ र को मा ले पनि गर्न हो यो एक भएको छन् थियो लागि गरेको तथा भन्ने नेपाल",
}

# scripts that one language has most of; of a few the commonest
SCRIPTS = {
    "el": "\u0370-\u03ff",
    "hy": "\u0530-\u058f",
    "he": "\u0590-\u05ff",
    "bn": "\u0980-\u09ff",
    "pa": "\u0a00-\u0a7f",
    "gu": "\u0a80-\u0aff",
    "or": "\u0b00-\u0b7f",
    "ta": "\u0b80-\u0bff",
    "te": "\u0c00-\u0c7f",
    "kn": "\u0c80-\u0cff",
    "ml": "\u0d00-\u0d7f",
    "si": "\u0d80-\u0dff",
    "th": "\u0e00-\u0e7f",
    "lo": "\u0e80-\u0eff",
    "bo": "\u0f00-\u0fff",
    "my": "\u1000-\u109f",
    "ka": "\u10a0-\u10ff",
    "am": "\u1200-\u137f",
    "km": "\u1780-\u17ff",
    "ja": "\u3040-\u30ff",
    "ko": "\u1100-\u11ff\uac00-\ud7af",
    "zh": "\u4e00-\u9fff",
}
# letters that, of all languages known here or not, these alone have: of Cyrillic ones one word tells, of Latin ones two,
# since names keep their spelling
OWN = (
    ("йщьюя", {"ru", "uk", "bg"}),
    ("ъ", {"ru", "bg"}),
    ("ыэё", {"ru"}),
    ("іїєґ", {"uk"}),
    ("ђћљњјџ", {"sr"}),
    ("ўқғңөұүһәѓќѕӣӯҳҷӑӗҫӳ", set[str]()),
)
OWN_LATIN = (("ıİğĞ", {"tr", "az"}), ("əƏ", {"az"}))
SHARE, SHARE_LATIN = 0.04, 0.1  # of the words that must have such a letter
FEW = 3  # words, below which letters tell nothing
UNSPACED = frozenset({"ja", "zh", "th", "lo", "km", "my"})  # written without spaces between words
_LETTERS = {lang: re.compile(f"[{span}]") for lang, span in SCRIPTS.items()}
_CYRILLIC = re.compile("[\u0400-\u052f]")
_WORD = re.compile(r"[^\W\d_][\w\u0900-\u097f\u200c'’]*")
_LANGUAGES: dict[str, tuple[str, ...]] = {}
for _lang, _words in COMMON.items():
    for _word in set(_words.split()):
        _LANGUAGES[_word] = (*_LANGUAGES.get(_word, ()), _lang)


def guess(text: str) -> str | None:
    """The code of the language that ``text`` is probably in (ISO 639-1), None where nothing tells it.

    >>> guess("The cat sat on the mat and looked at me."), guess("Die Katze ist nicht auf dem Dach."), guess("12:45")
    ('en', 'de', None)
    """
    text = text[:READ]
    script = _by_script(text)
    return script or _by_words(text)


def _by_script(text: str) -> str | None:
    if text.isascii():
        return None
    letters = sum(map(str.isalpha, text))
    counts = {lang: len(pattern.findall(text)) for lang, pattern in _LETTERS.items()}
    if counts["ja"] > 0.05 * counts["zh"]:  # Japanese mixes Chinese characters with its own
        counts["ja"] += counts.pop("zh")
    best = max(counts, key=lambda lang: counts[lang])
    return best if counts[best] > letters / 2 else None


def _by_words(text: str) -> str | None:
    words = _WORD.findall(text.replace("I\u0307", "İ"))
    left = _by_letters(text, words)
    if left is not None and len(left) < 2:
        return next(iter(left), None)
    hits: Counter[str] = Counter()
    told: dict[str, float] = {}
    for word in words:
        languages = [lang for lang in _LANGUAGES.get(word.lower(), ()) if left is None or lang in left]
        for lang in languages:
            hits[lang] += 1
            told[lang] = told.get(lang, 0.0) + 1 / len(languages)  # a word of many languages tells little
    ranked = sorted(told, key=lambda lang: -told[lang])[:2]
    if not ranked or hits[ranked[0]] < max(FEWEST, LEAST * len(words)):
        return None
    if len(ranked) > 1 and told[ranked[0]] < LEAD * told[ranked[1]]:
        return None
    return ranked[0]


def _by_letters(text: str, words: list[str]) -> set[str] | None:
    """The languages that the letters of ``words`` leave, none of them perhaps; None where they tell nothing."""
    if text.isascii() or len(words) < FEW:
        return None
    if 2 * len(_CYRILLIC.findall(text)) > sum(map(str.isalpha, text)):
        return _having(words, OWN, max(1, SHARE * len(words)))
    left = _having(words, OWN_LATIN, max(2, SHARE_LATIN * len(words)))
    # no text of a few words is in Azerbaijani without its commonest letter
    return left if left is None or "ə" in text else left - {"az"}


def _having(words: list[str], own: tuple[tuple[str, set[str]], ...], fewest: float) -> set[str] | None:
    """The languages in common to all letters of ``own`` that at least ``fewest`` of ``words`` have; None where none is."""
    found = [
        langs
        for letters, langs in own
        if sum(not set(letters).isdisjoint(word.lower() + word) for word in words) >= fewest
    ]
    return set.intersection(*found) if found else None
