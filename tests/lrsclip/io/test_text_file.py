# ruff: noqa: RUF001  (letters of many scripts are what this is about)
"""Texts of unknown encoding: read right where the bytes tell, guessed aloud where only the letters do."""

from __future__ import annotations

import codecs

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lrsclip.errors import TextError
from lrsclip.io.text_file import decode_text, utf16_without_mark

LETTERS = st.characters(codec="utf-8", exclude_categories=("Cc", "Cs"), exclude_characters="\ufeff\ufffe")


@given(st.text(LETTERS), st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]))
def test_what_unicode_says_itself_is_read_as_it_is(text: str, codec: str) -> None:
    decoded = decode_text(text.encode(codec))
    assert decoded.text == text
    assert not decoded.note


@pytest.mark.parametrize("order", ["le", "be"])
def test_utf_16_needs_no_mark(order: str) -> None:
    raw = "query\r\na harbor with a long pier\r\n港口\r\n".encode(f"utf-16-{order}")
    assert decode_text(raw).text.splitlines() == ["query", "a harbor with a long pier", "港口"]
    marked = {"le": codecs.BOM_UTF16_LE, "be": codecs.BOM_UTF16_BE}[order] + raw
    assert decode_text(marked).text == decode_text(raw).text
    assert utf16_without_mark(b"PK\3\4\0\0\0\0") is None
    assert utf16_without_mark(bytes(400)) is None


@pytest.mark.parametrize(
    ("codec", "texts"),
    [
        ("cp1252", ["ein Hafen mit weißen Booten", "Lärm", "un port près de la forêt", "una ciudad pequeña",
                    "skov ved sø", "um avião na pista", "the river’s mouth – a “delta”", "20° north", "più case",
                    "São Paulo", "Öl"]),
        ("cp1250", ["port z białymi statkami", "żółte pole", "łąka", "přístav s loděmi\nletiště",
                    "kikötő fehér hajókkal"]),
        ("cp1251", ["порт с белыми лодками", "лес", "літовище біля річки"]),
        ("cp1253", ["λιμάνι με λευκά σκάφη"]),
        ("cp1254", ["şehir dışında ağaçlı bölge"]),
        ("cp1255", ["נמל עם סירות לבנות"]),
        ("cp1256", ["ميناء به قوارب بيضاء"]),
        ("cp1257", ["oro uostas prie miško, ežeras ir upė"]),
        ("cp874", ["ท่าเรือที่มีเรือสีขาว"]),
        ("gbk", ["港口", "机场", "飞机场\n森林", "一条河流穿过城市", "港口里有许多白色的船"]),
        ("cp932", ["港に白い船がたくさんある", "空港", "川のそばの森"]),
        ("cp949", ["항구에 있는 흰 배들", "비행장 옆 도로"]),
        ("big5", ["港口裡有許多白色的船", "河流旁邊的農田"]),
    ],
)  # fmt: skip
def test_code_pages_of_spreadsheets_are_guessed_and_the_guess_is_told(codec: str, texts: list[str]) -> None:
    for text in texts:
        decoded = decode_text(f"id,query\n1,{text}\n".encode(codec))
        assert decoded.text == f"id,query\n1,{text}\n", (text, decoded)
        assert "not UTF-8" in decoded.note
        assert decoded.guess in decoded.note
        assert "save it as CSV UTF-8" in decoded.note


def test_a_guess_that_could_be_another_names_it() -> None:
    assert "might be Windows-1250" in decode_text("les u řeky".encode("cp1250")).note


def test_damaged_utf_8_is_not_taken_for_a_code_page() -> None:
    raw = "query\nein Hafen mit weißen Booten\nFlüsse, Bäume und Gebüsch\n".encode().replace(b"B\xc3\xa4", b"B\xff\xa4")
    with pytest.raises(TextError, match=r"line 3 .* UTF-8"):
        decode_text(raw)


def test_a_binary_file_is_no_text() -> None:
    for raw in (b"\x89PNG\r\n\x1a\n\0\0", b"PK\3\4\0", b"query\n\x01\xff\x02", b"%PDF-1.7\n%\xe2\xe3\x01"):
        with pytest.raises(TextError, match="no CSV text"):
            decode_text(raw)


@settings(deadline=None)
@given(st.binary(max_size=400))
def test_garbage_is_text_or_a_sentence(raw: bytes) -> None:
    try:
        assert "\0" not in decode_text(raw).text
    except TextError as error:
        assert "save" in str(error)
