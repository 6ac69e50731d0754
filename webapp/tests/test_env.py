"""Readers of environment variables return valid values and refuse others."""

import re
import stat
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from webapp import env


def test_a_number_must_be_a_whole_number_in_range(monkeypatch: pytest.MonkeyPatch) -> None:
    assert env.whole("SOME_NUMBER", 7) == 7
    monkeypatch.setenv("SOME_NUMBER", "12")
    assert env.whole("SOME_NUMBER", 7) == 12
    for wrong in ("0", "-1", "a lot", "1.5", "100"):
        monkeypatch.setenv("SOME_NUMBER", wrong)
        with pytest.raises(ImproperlyConfigured, match="SOME_NUMBER must be a whole number"):
            env.whole("SOME_NUMBER", 7, most=99)


def test_a_flag_must_be_yes_or_no(monkeypatch: pytest.MonkeyPatch) -> None:
    assert env.flag("SOME_FLAG", default=True) is True
    for value, meant in (("no", False), ("0", False), ("Yes", True), ("on", True)):
        monkeypatch.setenv("SOME_FLAG", value)
        assert env.flag("SOME_FLAG", default=True) is meant
    monkeypatch.setenv("SOME_FLAG", "perhaps")
    with pytest.raises(ImproperlyConfigured, match="yes or no"):
        env.flag("SOME_FLAG", default=True)


def test_a_username_has_only_what_a_person_can_sign_up_with(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert env.username("SOME_USER", "admin") == "admin"
    monkeypatch.setenv("SOME_USER", "jörg+1@sono.example")
    assert env.username("SOME_USER", "admin") == "jörg+1@sono.example"
    monkeypatch.setenv("SOME_USER", "<visitors>")
    with pytest.raises(ImproperlyConfigured, match="SOME_USER may have letters"):
        env.username("SOME_USER", "admin")


def test_a_name_pattern_has_the_day_and_the_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    assert env.name_pattern("SOME_PATTERN") == ""
    monkeypatch.setenv("SOME_PATTERN", "%d-%m-%Y_%Hh")
    assert env.name_pattern("SOME_PATTERN") == "%d-%m-%Y_%Hh"
    monkeypatch.setenv("SOME_PATTERN", "%d-%m_%Hh")
    with pytest.raises(ImproperlyConfigured, match=r"SOME_PATTERN is '%d-%m_%Hh'.*%Y or %y"):
        env.name_pattern("SOME_PATTERN")


def test_a_sender_is_an_e_mail_address_with_or_without_a_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert env.sender("SOME_SENDER") == ""
    for value in ("sounds@example.org", "Sono Scope <sounds@example.org>"):
        monkeypatch.setenv("SOME_SENDER", value)
        assert env.sender("SOME_SENDER") == value
    for value in ("sounds", "Sono <sounds>", "a@b@example.org", "@example.org"):
        monkeypatch.setenv("SOME_SENDER", value)
        with pytest.raises(ImproperlyConfigured, match="must be an e-mail address"):
            env.sender("SOME_SENDER")


def test_one_of_two_settings_that_need_each_other_is_refused() -> None:
    env.both_or_neither(ONE="a", OTHER="b")
    env.both_or_neither(ONE="", OTHER="")
    with pytest.raises(ImproperlyConfigured, match="OTHER is set, but ONE is not"):
        env.both_or_neither(ONE="", OTHER="b")


def test_a_secret_is_generated_once_and_readable_by_its_owner_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "deep" / "secret_key"
    made = env.secret("SOME_SECRET", file, may_be_made=True)
    assert len(made) >= 50
    assert env.secret("SOME_SECRET", file, may_be_made=True) == made
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(file.parent.iterdir()) == [file]
    monkeypatch.setenv("SOME_SECRET", "given")
    assert env.secret("SOME_SECRET", file, may_be_made=True) == "given"


def test_the_socket_path_is_never_too_long(tmp_path: Path) -> None:
    assert env.socket_path(Path("/data")) == Path("/data/run/broker.sock")
    deep = tmp_path / ("long" * 40)
    assert len(str(env.socket_path(deep))) < 104
    assert env.socket_path(deep) == env.socket_path(deep)
    assert env.socket_path(deep) != env.socket_path(deep / "other")


def test_a_secret_may_come_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "key"
    monkeypatch.setenv("SOME_SECRET_FILE", str(file))
    for contents, complaint in ((None, "cannot be read"), ("\n", "is empty")):
        if contents is not None:
            file.write_text(contents)
        with pytest.raises(ImproperlyConfigured, match=rf"SOME_SECRET_FILE: .* {complaint}"):
            env.confided("SOME_SECRET")
    file.write_text("from the file\n")
    assert env.confided("SOME_SECRET") == "from the file"
    assert env.secret("SOME_SECRET", tmp_path / "never made", may_be_made=True) == "from the file"
    assert not (tmp_path / "never made").exists()
    monkeypatch.setenv("SOME_SECRET", "and here")
    with pytest.raises(ImproperlyConfigured, match="not both"):
        env.confided("SOME_SECRET")


def test_a_setting_with_a_meaning_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(env, "KNOWN", {})
    monkeypatch.setenv("SOME_NUMBER", "12")
    env.text("UNTOLD", "x")
    env.whole("SOME_NUMBER", 7, meaning="How many.")
    env.confided("SOME_SECRET", meaning="Whose.")
    assert list(env.KNOWN.values()) == [
        env.Setting("SOME_NUMBER", "7", "How many.", from_file=False),
        env.Setting("SOME_SECRET", "", "Whose.", from_file=True),
    ]


def test_a_required_secret_is_not_generated(tmp_path: Path) -> None:
    file = tmp_path / "secret_key"
    with pytest.raises(ImproperlyConfigured, match="SOME_SECRET_FILE"):
        env.secret("SOME_SECRET", file, may_be_made=False)
    assert not file.exists()
    file.write_text("lies there\n")
    assert env.secret("SOME_SECRET", file, may_be_made=False) == "lies there"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("sono.example", "must start with http"),
        ("ftp://sono.example", "must start with http"),
        ("https://sono.example/", "use 'https://sono.example', not"),
        ("https://sono.example/sono/", "cannot run under a path"),
        ("https://sono.example?x", "no path"),
        ("https://one.example,https://two.example", "a single address"),
        ("https://one.example two.example", "a single address"),
        ("https://", "must be a URL"),
        ("https://sono.example:99999", "must be a URL"),
        ("https://anna@sono.example", "must be a URL"),
        ("https://*.example", "must be a URL"),
    ],
)
def test_an_origin_is_one_address_without_a_path(
    monkeypatch: pytest.MonkeyPatch, value: str, reason: str
) -> None:
    monkeypatch.setenv("SOME_ORIGIN", value)
    with pytest.raises(ImproperlyConfigured, match=f"SOME_ORIGIN .*{re.escape(reason)}"):
        env.origin("SOME_ORIGIN", "http://localhost")


@pytest.mark.parametrize(
    "value", ["https://sono.example", "http://localhost:8000", "http://[::1]:80"]
)
def test_a_valid_origin_is_returned(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("SOME_ORIGIN", value)
    assert env.origin("SOME_ORIGIN", "http://localhost") == value
