"""Who may see the pages: everybody who reaches this machine, or whom an OIDC provider names."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import streamlit as st
from streamlit.errors import StreamlitSecretNotFoundError

from dashboard.words import escaped

PROVIDER, ADMITTED = "auth", "admitted"  # of secrets.toml: Streamlit's own section, and ours


def may_enter() -> bool:
    """Whether the pages are shown; if not, what to do is shown instead."""
    secrets = _secrets()
    if PROVIDER not in secrets:
        return True
    if st.user.get("is_logged_in") is not True:
        st.title("Cicatrix")
        st.markdown("These pages are for people who are known here.")
        st.button("Log in", type="primary", icon=":material/login:", on_click=st.login)
        return False
    email = st.user.get("email")
    if is_admitted(email, st.user.get("email_verified"), secrets.get(ADMITTED)):
        return True
    st.title("Cicatrix")
    st.markdown(f"{escaped(str(email or 'Somebody without an address'))} is not admitted here.")
    st.button("Log out", icon=":material/logout:", on_click=st.logout)
    return False


def is_admitted(email: object, is_verified: object, admitted: Sequence[str] | None) -> bool:
    """Whether an address, or all of its domain ("@example.org"), is admitted; all if none is named.

    One that the provider calls unverified is nobody's.
    """
    if admitted is None:
        return True
    if not isinstance(email, str) or "@" not in email or is_verified is not True:
        return False
    address = email.casefold()
    known = {one.casefold() for one in admitted}
    return address in known or f"@{address.rpartition('@')[2]}" in known


def _secrets() -> Mapping[str, Any]:
    try:
        return st.secrets.to_dict()
    except StreamlitSecretNotFoundError:
        # A file that cannot be read may ask for a login: then nobody enters.
        if any(Path(one).exists() for one in st.get_option("secrets.files")):
            raise
        return {}
