"""The dashboard: `python -m dashboard`, or `streamlit run` on this file."""

import streamlit as st

from dashboard import charts, live, login
from warehouse.lake import LakeError

st.set_page_config(page_title="Cicatrix", page_icon=":material/healing:", layout="wide")
charts.enable_theme()

pages = [
    st.Page(
        "app_pages/overview.py", title="Overview", icon=":material/map:", url_path="", default=True
    ),
    st.Page("app_pages/families.py", title="Families", icon=":material/account_tree:"),
    st.Page("app_pages/centroid.py", title="Centroid and CRP", icon=":material/scatter_plot:"),
    st.Page("app_pages/triangles.py", title="Triangles", icon=":material/change_history:"),
    st.Page("app_pages/lineage.py", title="Lineage", icon=":material/family_history:"),
    st.Page("app_pages/dossier.py", title="Dossier", icon=":material/folder_open:"),
    st.Page("app_pages/compare.py", title="Compare", icon=":material/compare_arrows:"),
    st.Page("app_pages/provenance.py", title="Provenance", icon=":material/format_quote:"),
    st.Page("app_pages/components.py", title="Components", icon=":material/grid_on:"),
    st.Page("app_pages/crosscoder.py", title="Crosscoder", icon=":material/join_inner:"),
    st.Page("app_pages/stability.py", title="Coupling", icon=":material/link_off:"),
    st.Page("app_pages/nights.py", title="Nights", icon=":material/bedtime:"),
    st.Page("app_pages/sql.py", title="SQL", icon=":material/terminal:"),
    st.Page("app_pages/runs.py", title="Runs", icon=":material/timer:"),
]


def overview() -> None:
    """The first page's address is the bare one; who types its name is brought there."""
    st.switch_page(pages[0], query_params=st.query_params.to_dict())


# Hidden: our own links stay in sight on a phone.
page = st.navigation([*pages, st.Page(overview)], position="hidden")
if login.may_enter():
    live.show_links(pages)
    try:
        page.run()
    except LakeError as error:
        live.show_lake_error(error)
