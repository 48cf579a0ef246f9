"""Login is off unless secrets.toml asks for it, and then nobody unknown sees a page."""

from types import SimpleNamespace

import pytest

from dashboard import login


@pytest.mark.parametrize(
    ("email", "is_verified", "admitted", "wanted"),
    [
        ("a@x.org", True, None, True),  # whom the provider lets in
        (None, None, None, True),
        ("a@x.org", True, [], False),
        ("A@X.org", True, ["a@x.ORG"], True),
        ("b@x.org", True, ["a@x.org"], False),
        ("b@x.org", True, ["@x.org"], True),
        ("b@evil.x.org", True, ["@x.org"], False),
        ("b@evilx.org", True, ["@x.org"], False),
        ("a@x.org@evil.org", True, ["@x.org"], False),
        ("a@x.org", False, ["a@x.org"], False),
        ("a@x.org", None, ["a@x.org"], False),
        ("a@x.org", "true", ["a@x.org"], False),
        (None, True, ["@x.org"], False),
        ("x.org", True, ["@x.org", "x.org"], False),
    ],
)
def test_who_is_admitted(email, is_verified, admitted, wanted):
    assert login.is_admitted(email, is_verified, admitted) is wanted


def opened(app_file, **secrets):
    from streamlit.testing.v1 import AppTest

    app = AppTest.from_file(app_file, default_timeout=30)
    for name, value in secrets.items():
        app.secrets[name] = value
    return app.run()


AUTH = {
    "redirect_uri": "http://localhost:8501/oauth2callback", "cookie_secret": "x" * 32,
    "client_id": "id", "client_secret": "secret",
    "server_metadata_url": "https://id.example.org/.well-known/openid-configuration",
}  # fmt: skip


def test_without_an_auth_section_nobody_is_asked(filled):
    from dashboard.__main__ import APP

    app = opened(str(APP))
    assert not app.exception
    assert app.title[0].value == "What is known, and what is new?"


def test_a_secrets_file_that_cannot_be_read_lets_nobody_in(filled, tmp_path, monkeypatch):
    import streamlit as st
    from streamlit.errors import StreamlitSecretNotFoundError

    broken = tmp_path / "secrets.toml"
    broken.write_text("[auth\n")

    def to_dict():
        raise StreamlitSecretNotFoundError("Error parsing secrets file", path=str(broken))

    monkeypatch.setattr(st, "secrets", SimpleNamespace(to_dict=to_dict))
    monkeypatch.setattr(st, "get_option", lambda name: [str(broken)])
    with pytest.raises(StreamlitSecretNotFoundError):
        login.may_enter()
    monkeypatch.setattr(st, "get_option", lambda name: [str(tmp_path / "none.toml")])
    assert login.may_enter()


def test_with_one_a_stranger_sees_nothing_but_the_way_in(filled):
    from dashboard.__main__ import APP

    app = opened(str(APP), auth=AUTH)
    assert not app.exception
    assert [button.label for button in app.button] == ["Log in"]
    text = " ".join(str(one.value) for one in (*app.title, *app.markdown))
    assert "llama" not in text and "secret" not in text
    assert not app.dataframe and not app.get("page_link")
