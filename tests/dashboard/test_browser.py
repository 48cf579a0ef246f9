"""The dashboard as a person sees it: a real server, a real headless Chromium, a filled lake."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode

import psutil
import pytest
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.dashboard.ablations import add_ablations
from tests.dashboard.comparing import add_pairs
from tests.dashboard.steps import add_steps
from tests.dashboard.test_lineage_page import add_weights
from warehouse.lake import Lake

pytestmark = [pytest.mark.slow, pytest.mark.browser]

APP = Path(__file__).parents[2] / "dashboard" / "app.py"
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--window-size=1280,900",
)  # fmt: skip
BACKGROUNDS = {"light": "rgb(253, 253, 252)", "dark": "rgb(20, 23, 26)"}
READY_S, REFRESH_S = 40, 20
FAMILIES_SAYS = "llama: its derivative llama-distilled lies 400–450 × ε"
RUNS_SAYS = "llama-base is being measured"
# What reaches past the right edge; a table scrolls inside itself, so its inside does not count.
TOO_WIDE = """
const wide = [];
for (const e of document.querySelectorAll('[data-testid=stMain] *')) {
  if (e.closest('[data-testid=stDataFrame]') && !e.matches('[data-testid=stDataFrame]')) continue;
  const box = e.getBoundingClientRect();
  if (box.width && box.right > window.innerWidth + 1) wide.push(e.tagName + ' ' + e.className);
}
return wide;
"""


@pytest.fixture
def address(filled, tmp_path: Path) -> Iterator[str]:
    """A server of the filled lake."""
    with served(tmp_path) as url:
        yield url


@pytest.fixture
def traced_address(traced, tmp_path: Path) -> Iterator[str]:
    """A server of the traced lake, which nobody writes to."""
    with served(tmp_path) as url:
        yield url


@contextmanager
def served(folder: Path, app: Path = APP, *, fails: bool = False) -> Iterator[str]:
    """A server of the home's lake, started from a folder that is not the repository's."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", str(app), f"--server.port={port}"]
    log = folder / "server.log"
    with log.open("wb") as out:
        server = subprocess.Popen(
            command, cwd=folder, env=dict(os.environ), stdout=out, stderr=subprocess.STDOUT
        )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_for(lambda: is_up(url) or server.poll() is not None, "the server")
        assert server.poll() is None, log.read_text()
        yield url
        assert fails or "Traceback" not in log.read_text(), log.read_text()
    finally:
        server.terminate()
        server.wait(10)


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    driver, binary = shutil.which("chromedriver"), shutil.which("chromium")
    assert driver and binary, (
        "chromium or chromedriver is not on the PATH; `apt-get install chromium chromium-driver`, "
        "or leave these tests out with `pytest -m 'not browser'`"
    )
    options = Options()
    options.binary_location = binary
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    opened = webdriver.Chrome(options=options, service=Service(driver))
    yield opened
    opened.quit()


@pytest.fixture
def browser(chromium: webdriver.Chrome) -> webdriver.Chrome:
    """The browser as it was opened; the servers have ports, and so pages, of their own."""
    look_like(chromium, "light", 1280, 900)
    return chromium


def is_up(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/_stcore/health", timeout=2) as answer:
            return answer.status == 200
    except OSError:
        return False


def wait_for(is_so: Callable[[], object], what: str, within_s: float = READY_S) -> None:
    end = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < end, f"waited {within_s} s for {what}"
        time.sleep(0.25)


def settled_text(browser: webdriver.Chrome) -> str:
    """The page's text once it has stood still for two seconds: captions arrive after the cards."""
    seen = [text(browser)]

    def stands_still() -> bool:
        time.sleep(2)
        seen.append(text(browser))
        return seen[-1] == seen[-2]

    wait_for(stands_still, "the page to stand still")
    return seen[-1]


def text(browser: webdriver.Chrome) -> str:
    try:
        main = browser.find_elements(By.CSS_SELECTOR, "[data-testid=stMain]")
        return main[0].text.replace("\u00a0", " ") if main else ""
    except StaleElementReferenceException:
        return ""


def charts_on(browser: webdriver.Chrome) -> list[int]:
    """Widths of the drawn charts, pixels."""
    drawn = "[data-testid=stVegaLiteChart] canvas, [data-testid=stVegaLiteChart] svg.marks"
    return [e.size["width"] for e in browser.find_elements(By.CSS_SELECTOR, drawn)]


def flaws(browser: webdriver.Chrome, background: str) -> list[str]:
    """Error boxes, what is wider than the window, and a background of the wrong mode."""
    boxes = "[data-testid=stAlert], [data-testid=stException]"
    found = [box.text for box in browser.find_elements(By.CSS_SELECTOR, boxes)]
    found += browser.execute_script(TOO_WIDE)
    app = browser.find_element(By.CSS_SELECTOR, "[data-testid=stApp]")
    painted = browser.execute_script("return getComputedStyle(arguments[0]).backgroundColor", app)
    return found + ([painted] if painted != background else [])


def look_like(browser: webdriver.Chrome, mode: str, width: int, height: int) -> None:
    features = [{"name": "prefers-color-scheme", "value": mode}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def test_both_pages_render_and_nothing_is_cut(address, browser):
    for width, height in ((1280, 900), (400, 800)):
        for mode, background in BACKGROUNDS.items():
            look_like(browser, mode, width, height)
            browser.get(address + "/families")
            wait_for(lambda: FAMILIES_SAYS in text(browser), FAMILIES_SAYS)
            wait_for(lambda: len(charts_on(browser)) == 3, "three charts")
            assert charts_on(browser)[0] > 0.8 * min(width, 1100)
            assert flaws(browser, background) == [], (width, mode)
            browser.get(f"{address}/runs")
            wait_for(lambda: RUNS_SAYS in text(browser), RUNS_SAYS)
            wait_for(lambda: len(charts_on(browser)) == 1, "the sparkline")
            assert flaws(browser, background) == [], (width, mode)


EMPTY = {"nights": "scan W.toml", "crosscoder": "Models and text of your own"}
NEW_PAGES = {  # what each says of the planted lake, and how many charts it draws at least
    "": ("What is known, and what is new?", 1),
    "centroid": ("Where do the mean and the prompts disagree?", 1),
    "triangles": ("Which is farther from its base than a stranger is?", 1),
    "dossier": ("What is known of this derivative?", 0),
    "compare": ("Where do two derivatives differ?", 1),
    "lineage": ("From which base, and from which teacher?", 1),
    "components": ("What did the student keep of its teacher's circuits?", 1),
    "crosscoder": ("Which features did distillation make?", 0),
    "stability": ("Did capability travel without the teacher's constraints?", 1),
    "nights": ("What came to the hub last night?", 0),
}


def test_every_page_renders_wide_and_narrow_light_and_dark(home, tmp_path, browser):
    with Lake.open() as lake:
        for add in (add_pairs, add_ablations, add_steps, add_weights):
            add(lake)
    with served(tmp_path) as address:
        for width, height, mode in ((1280, 900, "light"), (400, 800, "dark")):
            look_like(browser, mode, width, height)
            for name, (title, n_charts) in NEW_PAGES.items():
                browser.get(f"{address}/{name}")
                end = EMPTY.get(name, "Copy link")
                wait_for(lambda says=title: says in text(browser), title)
                wait_for(lambda says=end: says in text(browser), f"the end of {name}")
                wait_for(
                    lambda least=n_charts: len(charts_on(browser)) >= least, f"charts of {name}"
                )
                assert flaws(browser, BACKGROUNDS[mode]) == [], (name, width)


def test_the_keyboard_reaches_every_page_and_the_picture_of_a_chart(address, browser):
    browser.get(f"{address}/families")
    wait_for(lambda: "Copy link" in text(browser), "the end of the page")
    reached = set[str]()
    for _ in range(60):
        browser.switch_to.active_element.send_keys(Keys.TAB)
        reached.update(browser.switch_to.active_element.text.split("\n"))
    assert {"Overview", "Runs", "As of", "llama", "PNG", "SVG"} <= reached


def test_it_listens_on_this_machine_alone_and_an_error_tells_no_secret(home, tmp_path, browser):
    (tmp_path / ".streamlit").mkdir()
    shutil.copy(APP.parent / ".streamlit" / "config.toml", tmp_path / ".streamlit")
    broken = tmp_path / "broken.py"
    broken.write_text("import streamlit as st\nst.title('Broken')\nraise ValueError('hunter2')\n")
    with served(tmp_path, broken, fails=True) as url:
        port = int(url.rpartition(":")[2])
        heard = {at.laddr.ip for at in psutil.net_connections("tcp")
                 if at.status == psutil.CONN_LISTEN and at.laddr.port == port}  # fmt: skip
        assert heard == {"127.0.0.1"}
        browser.get(url)
        wait_for(lambda: "Broken" in text(browser), "the page")
        settled = settled_text(browser)
    assert "error" in settled.casefold()
    assert "hunter2" not in settled and "ValueError" not in settled and "broken.py" not in settled


def test_a_page_draws_itself_again_only_when_there_is_something_new(address, browser, filled):
    browser.get(address + "/runs")
    wait_for(lambda: "Copy link" in text(browser), "the end of the page")
    assert "1 of 4 units" in text(browser)
    before = settled_text(browser)
    # Its sentences carry relative times, so that drawing the page again would change them.
    time.sleep(12)
    assert text(browser) == before
    filled.append_unit("live", "prompts-010-019", {}, 1.0)
    wait_for(lambda: "2 of 4 units" in text(browser), "the new unit", REFRESH_S)


def test_the_address_follows_the_controls_and_new_pairs_come_by_themselves(
    address, browser, add_pair
):
    browser.get(address + "/families")
    wait_for(lambda: "Copy link" in text(browser), "the end of the page")
    browser.find_element(By.XPATH, "//button[contains(., 'qwen2')]").click()
    wait_for(lambda: "qwen2-distilled lies 50.0–60.0 × ε" in text(browser), "the filtered page")
    wait_for(lambda: browser.current_url.endswith("families?family=qwen2"), "the address")
    add_pair("qwen2-pruned", (700, 700, 700, 800))
    wait_for(lambda: "qwen2-pruned lies 700 × ε" in text(browser), "the new pair", REFRESH_S)
    assert browser.current_url.endswith("families?family=qwen2")
    browser.get(browser.current_url)
    wait_for(lambda: "qwen2-pruned lies 700 × ε" in text(browser), "the restored page")
    assert "llama-distilled" not in text(browser)


def test_the_name_of_the_first_page_is_an_address_too(address, browser):
    browser.get(address + "/overview?family=qwen2")
    wait_for(lambda: "What is known, and what is new?" in text(browser), "the overview")
    wait_for(lambda: browser.current_url == address + "/?family=qwen2", "its own address")


def test_two_windows_keep_their_own_controls_and_both_show_what_is_new(address, browser, add_pair):
    first = browser.current_window_handle
    opened = {"qwen2": first}
    browser.get(address + "/families?family=qwen2")
    browser.switch_to.new_window("window")
    opened["llama"] = browser.current_window_handle
    look_like(browser, "light", 1280, 900)
    try:
        browser.get(address + "/families?family=llama")
        for family, other in (("qwen2", "llama"), ("llama", "qwen2")):
            browser.switch_to.window(opened[family])
            wait_for(lambda: "Copy link" in text(browser), f"the window of {family}")
            assert f"{other}-distilled" not in text(browser)
        for family, window in opened.items():
            add_pair(f"{family}-pruned", (7000, 7000, 7000, 8000))
            browser.switch_to.window(window)
            found = f"{family}-pruned lies 7,000 × ε"
            wait_for(lambda found=found: found in text(browser), f"the new {family}", REFRESH_S)
            assert browser.current_url.endswith(f"families?family={family}")
    finally:
        browser.switch_to.window(opened["llama"])
        browser.close()
        browser.switch_to.window(first)


def test_the_reader_shows_its_text_as_text_and_its_link_reopens_it(traced_address, browser):
    address = traced_address
    answers = {"Breakdown": "llama-distilled: 75.0 % of its", "Teacher": "attributed to teacher-"}
    for width, height, mode in ((1280, 900, "light"), (400, 800, "dark")):
        look_like(browser, mode, width, height)
        for view, answer in answers.items():
            browser.get(f"{address}/provenance?view={view}")
            wait_for(lambda says=answer: says in text(browser), answer)
            wait_for(lambda: len(charts_on(browser)) == 1, "the chart")
            assert flaws(browser, BACKGROUNDS[mode]) == [], (width, view)
    browser.get(address + "/provenance?view=Reader&distilled=llama-distilled")
    wait_for(lambda: "<script>alert('1')</script> **bold** $x$" in rollout(browser), "the text")
    sentence = browser.find_element(By.CSS_SELECTOR, ".cx-text .cx-Teacher[tabindex]")
    browser.execute_script("arguments[0].focus()", sentence)
    tip = browser.execute_script(
        "return getComputedStyle(document.activeElement, '::after').content"
    )
    assert "teacher 0.875 · base 0.250 · distilled 0.750" in tip
    assert flaws(browser, BACKGROUNDS["dark"]) == []
    browser.find_element(By.XPATH, "//button[contains(., 'Next')]").click()
    wait_for(lambda: rollout(browser).startswith("parts from the teacher"), "the next rollout")
    wait_for(lambda: browser.current_url.endswith("&problem_id=q1&sample=1"), "its address")
    browser.get(browser.current_url)
    wait_for(lambda: "Three." in rollout(browser), "the reopened rollout")


def test_sql_is_typed_run_cancelled_and_restored_by_its_address(address, browser):
    browser.get(address + "/sql")
    wait_for(lambda: "No statement yet" in text(browser), "the empty page")
    for width, height, mode in ((1280, 900, "light"), (400, 800, "dark")):
        look_like(browser, mode, width, height)
        browser.get(address + "/sql")
        wait_for(lambda: "What a statement may do" in text(browser), "the end of the page")
        assert flaws(browser, BACKGROUNDS[mode]) == [], width
    editor = browser.find_element(By.CSS_SELECTOR, ".st-key-sql textarea")
    editor.send_keys("select derivative, n_seeds from structural_scar", Keys.CONTROL, Keys.ENTER)
    wait_for(lambda: "4 rows, all there are." in text(browser), "the answer")
    assert browser.current_url.endswith(
        "/sql?sql=select+derivative%2C+n_seeds+from+structural_scar"
    )
    browser.find_element(By.XPATH, "//button[contains(., 'Chart')]").click()
    wait_for(lambda: len(charts_on(browser)) == 1, "the chart")
    wait_for(lambda: "view=Chart" in browser.current_url, "its address")
    assert flaws(browser, BACKGROUNDS["dark"]) == []
    browser.get(browser.current_url)
    wait_for(lambda: len(charts_on(browser)) == 1, "the restored chart")
    browser.find_element(By.XPATH, "//button[contains(., 'Loudest scars')]").click()
    wait_for(lambda: "nulls+last" in browser.current_url, "the example in the address")
    wait_for(lambda: "4 rows, all there are." in text(browser), "the example's answer")
    endless = "select count(*) from range(1000000) a, range(1000000) b"
    browser.get(f"{address}/sql?{urlencode({'sql': endless})}")
    wait_for(lambda: "Running: 3 s of at most 30 s" in text(browser), "its progress")
    browser.find_element(By.XPATH, "//button[contains(., 'Cancel')]").click()
    wait_for(lambda: "the statement was cancelled" in text(browser), "the end of it")


def rollout(browser: webdriver.Chrome) -> str:
    try:
        found = browser.find_elements(By.CSS_SELECTOR, ".cx-text:has([data-says])")
        return found[0].text if found else ""
    except StaleElementReferenceException:
        return ""
