"""The languages of Whisper's multilingual models: their codes and English names."""

# code=name; an underscore stands for a blank.
_TABLE = """
af=afrikaans am=amharic ar=arabic as=assamese az=azerbaijani ba=bashkir be=belarusian bg=bulgarian bn=bengali
bo=tibetan br=breton bs=bosnian ca=catalan cs=czech cy=welsh da=danish de=german el=greek en=english es=spanish
et=estonian eu=basque fa=persian fi=finnish fo=faroese fr=french gl=galician gu=gujarati ha=hausa haw=hawaiian
he=hebrew hi=hindi hr=croatian ht=haitian_creole hu=hungarian hy=armenian id=indonesian is=icelandic it=italian
ja=japanese jw=javanese ka=georgian kk=kazakh km=khmer kn=kannada ko=korean la=latin lb=luxembourgish ln=lingala
lo=lao lt=lithuanian lv=latvian mg=malagasy mi=maori mk=macedonian ml=malayalam mn=mongolian mr=marathi ms=malay
mt=maltese my=myanmar ne=nepali nl=dutch nn=nynorsk no=norwegian oc=occitan pa=punjabi pl=polish ps=pashto
pt=portuguese ro=romanian ru=russian sa=sanskrit sd=sindhi si=sinhala sk=slovak sl=slovenian sn=shona so=somali
sq=albanian sr=serbian su=sundanese sv=swedish sw=swahili ta=tamil te=telugu tg=tajik th=thai tk=turkmen tl=tagalog
tr=turkish tt=tatar uk=ukrainian ur=urdu uz=uzbek vi=vietnamese yi=yiddish yo=yoruba yue=cantonese zh=chinese
"""
NAMES: dict[str, str] = {
    code: name.replace("_", " ") for code, _, name in (entry.partition("=") for entry in _TABLE.split())
}
LANGUAGES = frozenset(NAMES)
# Other names of some languages, as in Whisper's model card.
_OTHER_NAMES = """
burmese=my castilian=es flemish=nl haitian=ht letzeburgesch=lb mandarin=zh moldavian=ro moldovan=ro panjabi=pa
pushto=ps sinhalese=si valencian=ca
"""
_CODES = {name: code for code, name in NAMES.items()}
_CODES |= {name: code for name, _, code in (entry.partition("=") for entry in _OTHER_NAMES.split())}


def find_language(text: str) -> str | None:
    """Return the code of a language that is named as `en`, `EN`, `en-US`, `en_GB` or `English`. None: unknown."""
    word = text.strip().lower()
    primary = word.replace("_", "-").partition("-")[0]
    return _CODES.get(word) or (primary if primary in NAMES else None)
