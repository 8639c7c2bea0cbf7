"""A real browser without a window, driven by WebDriver (W3C) through Debian's chromium-driver. Without another library."""
import base64
import http.client
import json
import os
import pathlib
import re
import shutil
import subprocess

PATIENCE = 120  # seconds for whatever the browser does
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the key of an element's id (W3C)
TAB, ENTER, SPACE = "\ue004", "\ue007", " "
DRIVER = shutil.which("chromedriver")


def is_there():
    return DRIVER is not None and shutil.which("chromium") is not None


class Element:
    def __init__(self, browser, identity):
        self.browser, self.identity = browser, identity

    def ask(self, what):
        return self.browser.send("GET", f"/element/{self.identity}/{what}")

    @property
    def text(self):
        return self.ask("text")

    @property
    def role(self):
        return self.ask("computedrole")

    @property
    def label(self):
        return self.ask("computedlabel")

    def type(self, text):
        self.browser.send("POST", f"/element/{self.identity}/value", {"text": text})

    def click(self):
        self.browser.send("POST", f"/element/{self.identity}/click", {})


class Browser:
    """One session with a profile of its own below `home`. To be closed."""

    def __init__(self, home):
        self.home = pathlib.Path(home)
        self.home.mkdir()
        self.log = open(self.home / "chromedriver.log", "wb")
        environment = os.environ | {"HOME": str(self.home), "XDG_CONFIG_HOME": str(self.home / "config"),
                                    "XDG_CACHE_HOME": str(self.home / "cache"), "TMPDIR": str(self.home)}
        self.driver = subprocess.Popen([DRIVER, "--port=0"], stdout=subprocess.PIPE, stderr=self.log, env=environment)
        self.session = None
        try:
            self.port = self.read_port()
            options = {"args": ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                                "--no-first-run", "--no-proxy-server", "--window-size=1200,900",
                                f"--user-data-dir={self.home / 'profile'}"]}
            made = self.call("POST", "/session", {"capabilities": {"alwaysMatch": {
                "browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"},
                "unhandledPromptBehavior": "ignore"}}})
            self.session = made["sessionId"]
        except BaseException:
            self.close()
            raise

    def read_port(self):
        for line in self.driver.stdout:
            if found := re.search(rb"successfully on port (\d+)", line):
                return int(found[1])
        raise AssertionError("chromedriver ended: " + (self.home / "chromedriver.log").read_text(errors="replace"))

    def call(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request(method, path, None if body is None else json.dumps(body),
                               {"Content-Type": "application/json"})
            answer = connection.getresponse()
            value = json.loads(answer.read())["value"]
        finally:
            connection.close()
        if answer.status != 200:
            raise AssertionError(f"{method} {path}: {value['error']}: {value['message']}")
        return value

    def send(self, method, path, body=None):
        return self.call(method, f"/session/{self.session}{path}", body)

    def close(self):
        if self.session:
            self.send("DELETE", "")
            self.session = None
        self.driver.terminate()
        self.driver.wait(PATIENCE)
        self.driver.stdout.close()
        self.log.close()

    def open(self, url):
        self.send("POST", "/url", {"url": url})

    @property
    def url(self):
        return self.send("GET", "/url")

    def all(self, selector):
        found = self.send("POST", "/elements", {"using": "css selector", "value": selector})
        return [Element(self, one[ELEMENT]) for one in found]

    def one(self, selector):
        found = self.all(selector)
        assert len(found) == 1, f"{selector}: {len(found)} elements in {self.url}"
        return found[0]

    @property
    def text(self):
        """All that shows; of one document, whatever is being loaded."""
        return self.run("return document.body ? document.body.innerText : ''")

    def run(self, script, *arguments):
        """What a function of this body returns in the page."""
        return self.send("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def devtools(self, command, **parameters):
        return self.send("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def press(self, *keys):
        """Keys go to what has the focus."""
        actions = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        self.send("POST", "/actions", {"actions": [{"type": "key", "id": "keyboard", "actions": actions}]})

    def focused(self):
        return Element(self, self.send("GET", "/element/active")[ELEMENT])

    def console(self):
        """Messages since the last call."""
        return [entry["message"] for entry in self.send("POST", "/se/log", {"type": "browser"})]

    def scripts(self, enabled):
        self.devtools("Emulation.setScriptExecutionDisabled", value=not enabled)

    def colors(self, scheme):
        self.devtools("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def size(self, width, height, scale=1):
        self.devtools("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale,
                      mobile=False)

    def picture(self):
        """The visible part as PNG."""
        return base64.b64decode(self.send("GET", "/screenshot"))
