"""A headless Firefox for the tests of `microgpt explore`, controlled by WebDriver BiDi, which needs no driver.

python tests/support/firefox.py names.html names.png [width [height]]
"""

import base64
import contextlib
import itertools
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PREFERENCES = """
user_pref("remote.active-protocols", 1);
user_pref("browser.shell.checkDefaultBrowser", false);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("app.normandy.enabled", false);
user_pref("network.captive-portal-service.enabled", false);
user_pref("network.connectivity-service.enabled", false);
user_pref("browser.aboutwelcome.enabled", false);
user_pref("layout.css.devPixelsPerPx", "1.0");
"""


def program():
    """The path of Firefox, or None."""
    return next(filter(None, map(shutil.which, ("firefox-esr", "firefox"))), None)


@contextlib.contextmanager
def firefox():
    """A Firefox with a new profile. Raises RuntimeError if it does not start."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        Path(profile, "user.js").write_text(PREFERENCES)
        command = [program(), "--headless", "--no-remote", "--profile", profile, "--remote-debugging-port", "0"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        try:
            said = []
            for line in process.stderr:
                said.append(line)
                if address := re.search(r"WebDriver BiDi listening on (ws://\S+)", line):
                    break
            else:
                raise RuntimeError(f"Firefox did not start: {''.join(said)}")
            browser = Firefox(address[1])
            yield browser
            browser.socket.close()
        finally:
            process.terminate()
            process.communicate()


class Firefox:
    """A session with one tab. errors: messages of its console, and scripts that failed."""

    def __init__(self, address):
        import websocket  # a dependency of selenium

        self.socket = websocket.create_connection(f"{address}/session", suppress_origin=True, timeout=120)
        self.ids = itertools.count(1)
        self.errors = []
        self.send("session.new", capabilities={})
        self.send("session.subscribe", events=["log.entryAdded"])
        self.tab = self.send("browsingContext.getTree")["contexts"][0]["context"]

    def send(self, method, **parameters):
        """The result of a command. Raises RuntimeError if it failed."""
        wanted = next(self.ids)
        self.socket.send(json.dumps({"id": wanted, "method": method, "params": parameters}))
        while True:
            message = json.loads(self.socket.recv())
            if message["type"] == "event":
                if message["params"].get("level") in ("error", "warn"):
                    self.errors.append(message["params"]["text"])
            elif message["id"] == wanted:
                if message["type"] == "error":
                    raise RuntimeError(f"{method}: {message['message']}")
                return message["result"]

    def show(self, page, width=1280, height=900, fragment="text="):
        """Open the file `page` in a window of this size, and wait until its first computation has ended."""
        self.send("browsingContext.setViewport", context=self.tab, viewport={"width": width, "height": height})
        for url in "about:blank", f"{Path(page).absolute().as_uri()}#{fragment}":
            self.send("browsingContext.navigate", context=self.tab, url=url, wait="complete")
        self.run("await page.ready")

    def run(self, code, *arguments):
        """Run JavaScript, which may use await and return. Returns its result, passed as JSON."""
        body = f"async () => {{ const given = {json.dumps(arguments)}; {code} }}"
        result = self.send(
            "script.evaluate", expression=f"({body})().then(JSON.stringify)", target={"context": self.tab}, awaitPromise=True,
            userActivation=True,
        )  # fmt: skip
        if result["type"] == "exception":
            raise RuntimeError(result["exceptionDetails"]["text"])
        return json.loads(result["result"].get("value", "null"))

    def press(self, *keys):
        """Press and release these keys."""
        actions = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        self.send("input.performActions", context=self.tab, actions=[{"type": "key", "id": "keyboard", "actions": actions}])

    def picture(self):
        """The whole page as PNG."""
        return base64.b64decode(self.send("browsingContext.captureScreenshot", context=self.tab, origin="document")["data"])


if __name__ == "__main__":
    page, picture, *size = sys.argv[1:]
    with firefox() as browser:
        browser.show(page, *map(int, size), fragment="text=mar")
        time.sleep(1)  # until the animation of the bars has ended
        Path(picture).write_bytes(browser.picture())
        print(*browser.errors, sep="\n")
