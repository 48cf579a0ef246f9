"""One file a page, one question a page; `app.py` lists them."""
