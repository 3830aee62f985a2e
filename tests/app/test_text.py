"""What strangers sent cannot command a terminal, and no password is shown."""

from __future__ import annotations

import pytest

from app.text import printable, without_password


def test_control_characters_are_written_out() -> None:
    assert printable("a\x1b[31mred\x07\x9b2J\x7f\r\n") == r"a\x1b[31mred\x07\x9b2J\x7f\x0d\x0a"
    assert printable("txt\u202egpj") == r"txt\u202egpj"
    assert printable("Größe €/ä 日本") == "Größe €/ä 日本"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://postgres:geheim@127.0.0.1:1/x", "postgresql://postgres:***@127.0.0.1:1/x"),
        ("redis://:geheim@127.0.0.1:1/0", "redis://:***@127.0.0.1:1/0"),
        ("postgresql://u:ge@heim@h/x", "postgresql://u:***@h/x"),
        ("postgresql://h/x?password=geheim&a=1", "postgresql://h/x?password=***&a=1"),
        ("postgresql://h/x?sslpassword=geheim", "postgresql://h/x?sslpassword=***"),
        ("postgresql://user@h/x", "postgresql://user@h/x"),
        ("127.0.0.1:9092,127.0.0.2:9092", "127.0.0.1:9092,127.0.0.2:9092"),
        ("", ""),
    ],
)
def test_no_password_is_shown(url: str, shown: str) -> None:
    assert without_password(url) == shown
    assert "geheim" not in shown
