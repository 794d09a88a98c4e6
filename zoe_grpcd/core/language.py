"""Which language a text is written in, as far as routing cares: English, or something that needs a multilingual model.

Scripts decide first; Latin script is told apart by its function words. The rule: a few foreign words in an English
sentence ("play la bamba") leave it English, so English words always count against a foreign language.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from zoe_grpcd.core.vocabulary import COMMON

_SCRIPTS = re.compile(
    r"(?P<el>[\u0370-\u03ff\u1f00-\u1fff])|(?P<ru>[\u0400-\u052f])|(?P<he>[\u0590-\u05ff])"
    r"|(?P<ar>[\u0600-\u077f\u08a0-\u08ff\ufb50-\ufdff\ufe70-\ufefc])|(?P<hi>[\u0900-\u097f])"
    r"|(?P<th>[\u0e00-\u0e7f])|(?P<ja>[\u3040-\u30ff])|(?P<ko>[\u1100-\u11ff\uac00-\ud7af])"
    r"|(?P<zh>[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff])"
    r"|(?P<other>[\u0530-\u058f\u0700-\u08ff\u0980-\u0dff\u0e80-\u10ff\u1200-\u1dbf\ua000-\ua4cf])"
)
_FIRST_SCRIPT = "\u0370"  # no letter before it is of a script above
_WIDE = frozenset(
    ("zh", "ja", "ko", "th")
)  # scripts in which a character says about as much as three Latin letters

_FUNCTION_WORDS: Mapping[str, frozenset[str]] = {
    code: frozenset(words.split())
    for code, words in {
        "es": """el la los las de del que y en un una unos es son está están por para con no se lo su sus al como más pero
            mi tu te me qué cómo cuál cuáles dónde cuándo quién porque hola gracias buenos buenas días puedes puedo quiero
            favor hacer tengo tiene hay este esta esto eso ser estás soy muy también sobre entre cuando donde como dime
            pon añade escribe explica explícame cuánto cuántos hoy mañana ayer lista cual sin hasta desde ponme quita
            luz luces recuérdame llama enciende apaga buenas noches tardes necesito ayuda entiendo sé vale adiós luego mucho
            muchas gusta vives cuéntame chiste casa música tiempo hambre claro perdón nada algo siempre ahora aquí""",
        "fr": """le la les de des du un une et est sont en que qui dans pour pas plus par sur avec ce cette ces je tu il elle
            nous vous ils on ne se sa son ses mon ma mes ton ta votre au aux où quand comment pourquoi quel quelle quels
            quelles bonjour salut merci oui non suis êtes peux peut peux-tu puis-je fait faire être avoir c'est qu'est
            j'ai d'un d'une l'on mets moi quoi aussi très bien écris explique combien voudrais demain ce soir aujourd'hui
            quelqu'un est-ce s'il plaît ajoute allume éteins y bonne nuit bonsoir soirée journée au revoir beaucoup raconte
            blague faim froid chaud comprends sais veux habites va ça mets lumière musique heure maintenant toujours rien""",
        "de": """der die das den dem des ein eine einen einem einer und ist sind war nicht mit von zu im in auf für an als auch
            sich ich du er sie es wir ihr mein meine dein deine was wie wo wann warum wer welche welcher welches kann kannst
            können bitte danke hallo guten morgen tag wird wurde haben hast habe hat über nach bei oder aber wenn dass
            zwischen mir mich dir dich schreibe erkläre spiel stell mach gibt heute sein zum zur aus um noch wieviel
            viele lichter licht schalte setze erzähl gute gut nacht abend wetter geht hunger verstehe weiß schön schönen schönes
            vielen spät uhr jetzt immer nichts etwas langweilig müde sag zeig wohnst tschüss auf wiedersehen genau stimmt los""",
        "it": """il lo la i gli le di del della dei delle che e è un una uno per con non in sono sei come cosa quale quali dove
            quando perché chi mi ti si ci vi mio mia tuo tua questo questa quello al alla nel nella da più anche ciao grazie
            buongiorno buonasera puoi posso fare voglio ho hai ha stai sta qual favore oggi domani scrivi spiegami spiega funziona molto
            metti aggiungi quanto quanti accendi spegni dimmi buona buono notte sera giorno dove abiti capisco fame tempo piace
            luce musica raccontami barzelletta mille sempre adesso ora niente qualcosa arrivederci bene anch'io stasera""",
        "pt": """o a os as de do da dos das que e é um uma em no na nos nas por para com não se como mais mas eu tu ele ela você
            meu minha seu sua este esta isso qual quais onde quando quem porque olá obrigado obrigada bom dia pode posso
            quero fazer são está estou tem ao à pelo pela foi ser muito também me te escreva explique quanto quantos hoje
            amanhã custa ontem sobre entre até lista adicione toque ligue boa noite tarde tudo bem vai mora moras apague acenda
            luz fome entendo gosto piada conte horas tchau agora sempre nada alguma obrigados desculpe""",
        "nl": """de het een en van is in dat op te zijn met voor niet aan er om ook als maar hoe wat waar wanneer waarom wie welke
            ik je jij hij zij we wij u mijn jouw uw hebben heb heeft kan kun kunt wil naar bij uit over door nog dan deze dit
            die hallo dank bedankt goedemorgen alsjeblieft graag gaat laat zet schrijf vertel veel mij vandaag morgen goede
            goed nacht avond tot ziens straks honger begrijp woon licht weer nu altijd niets iets grap welterusten doei""",
        "pl": """w i na z do nie się jest to że o jak co gdzie kiedy dlaczego kto czy ja ty on ona my wy mój moja twój jaka jaki
            jakie dla po za od przez ale lub są był była cześć dzień dobry dziękuję proszę mi mnie mam masz może mogę
            napisz opowiedz wyjaśnij dzisiaj jutro ile który która tego tym dobranoc dobry dobrze jestem jesteś widzenia teraz
            godzina żart rozumiem wiem mieszkasz światło zgaś zapal pogoda głodny zmęczony zawsze nic coś witaj""",
        "sv": """och att det som en ett är på för med av till den inte har om jag du han hon vi ni de min din ett vad hur var när
            varför vem vilken kan ska vill från eller men hej tack god morgon snälla mig dig idag imorgon mår skriv
            förklara mycket sig så också över""",
        "da": """og at det som en et er på for med af til den ikke har om jeg du han hun vi de min din hvad hvordan hvor hvornår
            hvorfor hvem hvilken kan skal vil fra eller men hej tak god mig dig i dag morgen skriv hedder meget sig så også""",
        "no": """og å det som en et er på for med av til den ikke har om jeg du han hun vi de min din hva hvordan hvor når hvorfor
            hvem hvilken kan skal vil fra eller men hei takk god meg deg i dag morgen skriv heter mye seg så også""",
        "fi": """ja on ei se että hän minä sinä me te he mikä mitä miten missä milloin miksi kuka voi voitko olen olet oli kanssa
            mutta tai kun niin jos hei kiitos hyvää huomenta suomen minun sinun paljon kirjoita selitä tänään""",
        "tr": """ve bir bu da de için ile ne nasıl nerede neresidir nedir kim kaç mi mı mu mü ben sen o biz siz var yok çok daha
            gibi olarak ama veya merhaba selam teşekkürler lütfen günaydın bana sana bugün yarın hava benim senin mısın
            musun misin niçin neden hangi yaz anlat açıkla iyi geceler akşamlar nasılsın saat kaç şimdi evet hayır tamam güzel
            ışığı ışıkları kapat aç söyle fıkra nerede yaşıyorsun anlamıyorum istiyorum ederim başkenti müzik""",
        "vi": """là của và có không được cho trong một những các này đó với để người tôi bạn anh chị em như thế nào gì ở đâu khi
            tại sao ai xin chào cảm ơn hôm nay ngày mai thời tiết làm hãy viết giải thích bao nhiêu rất cũng đã sẽ""",
        "cs": """a je v na se že s z do o to jak co kde kdy proč kdo ten ta jsou byl není pro ale nebo jako ahoj děkuji prosím
            dobrý den mi mě můj moje jaké jaký která hlavní město dnes zítra můžeš můžu máš napiš vysvětli kolik""",
        "hu": """a az és hogy nem is egy van volt mi ki hol mikor miért hogyan mennyi én te ő ez szia köszönöm kérem jó napot
            nap vagy de ha meg csak már mint fővárosa írj magyarázd kérlek ma holnap""",
        "ro": """și în de la cu pe nu că este sunt un o care ce cum unde când de cine pentru din mai dar sau eu tu el ea noi voi
            bună mulțumesc te rog mă îmi salut poți vreau azi mâine scrie explică cât câte""",
        "id": """yang dan di ke dari ini itu untuk dengan tidak adalah apa bagaimana di mana kapan mengapa kenapa siapa saya
            kamu anda dia kami kita ibu kota bisa akan ada pada juga atau tetapi halo terima kasih selamat pagi tolong
            berapa hari tulis jelaskan besok""",
    }.items()
}

_LANGUAGES_OF: dict[str, tuple[str, ...]] = {}
for _code, _words in _FUNCTION_WORDS.items():
    for _word in _words:
        _LANGUAGES_OF[_word] = (*_LANGUAGES_OF.get(_word, ()), _code)

_TELLING = _LANGUAGES_OF.keys() - COMMON
_OPENINGS = (
    frozenset("what who whose how why when where which tell play call add".split()) - _LANGUAGES_OF.keys()
)
_TELLTALE = frozenset("ışğłżźśąęćńőűřěůčžďťňșțăđ")  # letters that English does not even borrow
_ENOUGH = 40  # words that settle it


def language(text: str, words: Sequence[str]) -> str:
    """ISO 639-1 code of the language, "en" if nothing speaks against English, "other" for a script without a code.

    Args:
        text: at most a few thousand characters, in lower case.
        words: its words; numbers and punctuation among them do no harm.
    """
    if text.isascii():
        different = frozenset(words)
        if len(_TELLING & different) * 2 <= len(COMMON & different):
            return "en"  # the usual case, at once
        return _by_words(words)
    return _by_script(text) or _by_words(words)


def _by_script(text: str) -> str:
    if max(text) < _FIRST_SCRIPT:
        return ""
    counts = Counter(match.lastgroup or "" for match in _SCRIPTS.finditer(text))
    if not counts:
        return ""
    weight = sum(3 * n if script in _WIDE else n for script, n in counts.items())
    latin = sum(map(str.isalpha, text)) - counts.total()
    if counts.total() < 2 or weight <= 0.6 * latin:
        return ""
    if counts["ja"]:
        return "ja"  # Japanese is mostly written with Chinese characters
    return counts.most_common(1)[0][0]


def _by_words(words: Sequence[str]) -> str:
    letters = [word for word in words[:_ENOUGH] if word[0].isalpha()]
    known = [word for word in letters if word in _LANGUAGES_OF]
    if not letters:
        return "en"
    if not known and 2 * sum(not _TELLTALE.isdisjoint(word) for word in letters) >= len(letters):
        return "other"
    accented = sum(len(word) > 1 and not word.isascii() for word in letters)  # one letter alone is a symbol
    if not known:
        return "other" if accented > len(letters) / 2 and len(letters) > 1 else "en"
    hits: dict[str, int] = {}
    for word in known:
        for code in _LANGUAGES_OF[word]:
            hits[code] = hits.get(code, 0) + 1
    foreign, code = max((count, code) for code, count in hits.items())
    english = sum(word in COMMON for word in letters) + (letters[0] in _OPENINGS)
    strength = foreign + accented / 2  # a letter that English does not write is half a word
    certain = strength > english and strength > 0.22 * len(letters) and not _TELLING.isdisjoint(known)
    return code if certain else "en"
