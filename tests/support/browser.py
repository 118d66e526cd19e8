"""A headless Chromium for the tests of `microgpt explore`, and the picture in docs/explore.md:

python tests/support/browser.py names.html docs/explore.png
"""

import base64
import contextlib
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path

OPTIONS = (  # only the page itself may use the network; --no-sandbox: Chromium has no sandbox for root
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip

# Every page draws the same random numbers, so failures are reproducible (a 32-bit linear congruential generator).
RANDOM = "{ let state = 1; Math.random = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32 }"


def programs():
    """The paths of (chromium, chromedriver), None for one that is missing."""
    browsers = map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))
    return next(filter(None, browsers), None), shutil.which("chromedriver")


@contextlib.contextmanager
def chromium():
    """A selenium driver for a browser with a new profile that records its console and its network."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location, driver_path = programs()
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        for option in (*OPTIONS, f"--user-data-dir={profile}"):
            options.add_argument(option)
        driver = webdriver.Chrome(options=options, service=Service(driver_path))
        try:
            driver.set_script_timeout(120)
            driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": RANDOM})
            yield driver
        finally:
            driver.quit()


def show(driver, page, width=1280, height=900, dark=False, fragment="text="):
    """Open the file `page` in a window of this size, and wait until its first computation has ended."""
    screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
    driver.get("about:blank")  # otherwise a page whose address differs only in its fragment would not be reloaded
    driver.get(f"{Path(page).absolute().as_uri()}#{fragment}")
    wait(driver, "await page.ready")


def wait(driver, code, *arguments):
    """Run JavaScript, which may use await and return. Returns its result."""
    code = f"""
        const done = arguments[arguments.length - 1];
        (async function () {{ {code} }}).apply(null, arguments).then(done, (error) => done(`failed: ${{error}}`));
        """
    return driver.execute_async_script(code, *arguments)


def wait_for(condition, seconds=20):
    """Wait until condition() is true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def requested(entry):
    """The address that a page on the disk requested; None if an entry of the network log is about something else."""
    message = json.loads(entry["message"])["message"]
    if message["method"] != "Network.requestWillBeSent" or not message["params"]["documentURL"].startswith("file:"):
        return None
    return message["params"]["request"]["url"]


def text_of(driver, name):
    return driver.find_element("id", name).get_property("innerText")


def bars(driver):
    """[(label, percent), ...] as shown."""
    rows = driver.find_elements("css selector", "#bars .bar")
    return [tuple(row.get_property("innerText").split()) for row in rows]


def percent(p):
    """A probability as the page writes it."""
    return "<0.1%" if 0 < p < 0.0005 else f"{100 * p:.1f}%"


def type_in(driver, text):
    """Put a text into the field (send_keys does not support emoji), and wait for the page."""
    wait(driver, "page.set(arguments[0]); await page.update()", text)


def screenshot(page, picture, text="mar", width=1280, height=3000):
    """A picture of the page down to the embeddings, with `text` typed."""
    with chromium() as driver:
        show(driver, page, width, height)
        type_in(driver, text)
        wait(driver, "await page.samples.write()")
        wait(driver, "await new Promise((done) => setTimeout(done, 500))")  # until the animation of the bars has ended
        end = driver.execute_script("return byId('training-title').getBoundingClientRect().top - 20")
        clip = {"x": 0, "y": 0, "width": width, "height": end, "scale": 1}
        data = driver.execute_cdp_cmd("Page.captureScreenshot", {"format": "png", "clip": clip})["data"]
    Path(picture).write_bytes(base64.b64decode(data))


if __name__ == "__main__":
    screenshot(*sys.argv[1:])
