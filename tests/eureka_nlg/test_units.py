"""Units of texts of several scripts, written out by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eureka_nlg.units import split_characters, unspaced_share


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("hello there , you", ["hello", "there", ",", "you"]),
        ("今天很好、我们去划船吧。", list("今天很好、我们去划船吧。")),
        ("我有 iPhone15手机 ok", ["我", "有", "iPhone15", "手", "机", "ok"]),
        ("カﾞ か\u3099 です", ["カﾞ", "か\u3099", "で", "す"]),
        ("ที่นี่ครับ", ["ที่", "นี่", "ค", "รั", "บ"]),
        ("မြန်မာ", ["မြ", "န်", "မာ"]),
        ("안녕하세요 여러분", ["안녕하세요", "여러분"]),
        ("हिन्दी भाषा", ["हिन्दी", "भाषा"]),
        ("𠮷野\U000e0100家", ["𠮷", "野\U000e0100", "家"]),
        ("a\u3000b 中\u3000文", ["a", "b", "中", "文"]),
        ("", []),
    ],
)
def test_units(text: str, units: list[str]) -> None:
    assert split_characters(text) == units


@given(
    st.text(alphabet=st.characters(exclude_categories=["Cs"])) | st.text("ab 中文のカﾞ\u3099ที่\u200d。,\u3000")
)
def test_nothing_is_lost_and_splitting_again_changes_nothing(text: str) -> None:
    units = split_characters(text)
    assert "".join(units) == "".join(text.split())
    assert split_characters(" ".join(units)) == units


def test_share() -> None:
    assert unspaced_share("你好 ok") == 0.5
    assert unspaced_share("hello") == 0
    assert unspaced_share(" \u3000") == 0
    assert unspaced_share("我喜欢蜜蜂。") == 1
