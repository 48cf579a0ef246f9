"""The dashboard: `python -m dashboard`, or `streamlit run` on this file."""

import streamlit as st

from dashboard import charts, live
from warehouse.lake import LakeError

st.set_page_config(page_title="Cicatrix", page_icon=":material/healing:", layout="wide")
charts.enable_theme()

pages = [
    st.Page(
        "app_pages/families.py", title="Families", icon=":material/account_tree:", default=True
    ),
    st.Page("app_pages/provenance.py", title="Provenance", icon=":material/format_quote:"),
    st.Page("app_pages/components.py", title="Components", icon=":material/grid_on:"),
    st.Page("app_pages/crosscoder.py", title="Crosscoder", icon=":material/join_inner:"),
    st.Page("app_pages/sql.py", title="SQL", icon=":material/terminal:"),
    st.Page("app_pages/runs.py", title="Runs", icon=":material/timer:"),
]
page = st.navigation(pages, position="hidden")  # our own links stay in sight on a phone
live.show_links(pages)
try:
    page.run()
except LakeError as error:
    live.show_lake_error(error)
