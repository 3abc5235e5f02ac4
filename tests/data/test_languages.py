"""Guesses of languages, on sentences written for this test."""

from __future__ import annotations

import pytest

from foretell.data.text.languages import COMMON, guess

SENTENCES = {
    "en": "A boy goes home after school, and once he is at home he relaxes with a book that his sister gave him.",
    "de": "Ein Junge geht nach der Schule nach Hause, und sobald er zu Hause ist, ruht er sich mit einem Buch aus.",
    "nl": "De jongen gaat na school naar huis en leest een boek dat zijn zus voor hem heeft gekocht.",
    "fr": "Le garçon rentre à la maison après les cours et se repose avec un livre que sa sœur lui a donné.",
    "es": "El niño vuelve a casa después de la escuela y descansa con un libro que le dio su hermana.",
    "pt": "O menino volta para casa depois da escola e descansa com um livro que a irmã lhe deu no verão.",
    "it": "Il ragazzo torna a casa dopo la scuola e si riposa con un libro che gli ha dato la sorella.",
    "ro": "Băiatul merge acasă după școală și se odihnește cu o carte pe care i-a dat-o sora lui, dar nu este a lui.",
    "sv": "Pojken går hem efter skolan och vilar med en bok som hans syster har gett honom, men det är inte hans.",
    "da": "Drengen går hjem efter skole og hviler sig med en bog, som hans søster har givet ham, men ikke af pligt.",
    "no": "Gutten går hjem etter skolen og hviler seg med en bok som søsteren har gitt ham, men ikke av plikt.",
    "fi": "Poika menee kotiin koulun jälkeen ja lepää kirjan kanssa, mutta se ei ole hänen, joka on myös uusi.",
    "pl": "Chłopiec wraca do domu po szkole i odpoczywa z książką, którą dała mu siostra, ale nie jest to jego.",
    "cs": "Chlapec jde domů po škole a odpočívá s knihou, kterou mu dala sestra, ale není to jeho, protože je otce.",
    "hu": "A fiú iskola után hazamegy és egy könyvvel pihen, amit a nővére adott, de ez nem az övé volt.",
    "tr": "Çocuk okuldan sonra eve gider ve kız kardeşinin verdiği bir kitap ile dinlenir, ama bu çok önemli değil.",
    "id": "Anak itu pulang ke rumah dari sekolah dan beristirahat dengan buku yang diberikan oleh kakaknya.",
    "vi": "Cậu bé về nhà sau giờ học và nghỉ ngơi với một cuốn sách của chị gái, không phải là sách cho các em.",
    "ru": "Мальчик идёт домой после школы и отдыхает с книгой, которую ему дала сестра, но это не его книга.",
    "uk": "Хлопець іде додому після школи і відпочиває з книгою, яку йому дала сестра, але це не його книга.",
    "ar": "يذهب الولد إلى البيت بعد المدرسة ويستريح مع كتاب من أخته في غرفته على السرير",
    "fa": "پسر بعد از مدرسه به خانه می رود و با کتابی که خواهرش به او داده است استراحت می کند",
    "hi": "लड़का स्कूल के बाद घर जाता है और अपनी बहन की दी हुई किताब के साथ आराम करता है।",
    "ja": "少年は放課後に家へ帰り、妹がくれた本を読んで休みます。",
    "zh": "男孩放学后回家，看妹妹送给他的书休息。",
    "ko": "소년은 방과 후 집에 가서 쉰다.",
    "el": "Το αγόρι πηγαίνει σπίτι μετά το σχολείο.",
    "th": "เด็กชายกลับบ้านหลังเลิกเรียน",
}


@pytest.mark.parametrize("lang", SENTENCES)
def test_a_sentence_tells_its_language(lang: str) -> None:
    assert guess(SENTENCES[lang]) == lang


@pytest.mark.parametrize(
    ("lang", "text"),
    [
        ("ru", "Солнце светит на небе. Мальчик идёт в школу. Люди говорят о погоде и о жизни."),
        ("ru", "Сегодня в Москве прошёл сильный дождь, и движение на дорогах остановилось."),
        ("ru", "Она была очень рада и пригласила всех на чай."),
        ("uk", "Сонце світить. Хлопець їде."),
        ("bg", "Момчето отива на училище, а след това се прибира у дома и чете."),
        ("bg", "Тази къща е стара, но хората от селото казват, че е хубава и топла."),
        ("sr", "Дечак иде кући после школе и одмара се са књигом коју му је дала сестра."),
        ("tr", "İstanbul'da güneş parlıyor. Çocuk okula gidiyor. İnsanlar havadan konuşuyor."),
        ("az", "Oğlan məktəbdən sonra evə gedir və kitab oxuyur, amma yağış yağır."),
        ("en", "The president of the country, Mr Erdoğan, was in the city with his wife."),
        ("en", "The word быть is the verb that means to be, and it is in a book."),
        ("ro", "Băiatul merge la şcoală şi se odihneşte cu o carte pe care i-a dat-o sora lui, dar nu este a lui."),
        (None, "Хлопчык ідзе дадому пасля школы і адпачывае з кнігай."),  # Belarusian
        (None, "Бала мектептен кейін үйге барады және кітап оқиды."),  # Kazakh
        (None, "Был Эд"),
    ],
)
def test_letters_of_its_own_tell_a_language(lang: str | None, text: str) -> None:
    assert guess(text) == lang


@pytest.mark.parametrize("text", ["", "12:45 -- 13:07", "XKCD 42", "zzz qqq xxx", "lorem ipsum dolor amet"])
def test_what_tells_nothing_is_none(text: str) -> None:
    assert guess(text) is None


def test_every_list_differs_from_the_others() -> None:
    lists = {lang: frozenset(words.split()) for lang, words in COMMON.items()}
    for lang, words in lists.items():
        for other, theirs in lists.items():
            assert lang == other or len(words - theirs) >= 4, (lang, other)
