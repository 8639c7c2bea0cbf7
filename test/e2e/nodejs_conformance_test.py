"""Runs the nodejs runtime with the host's Node.js and holds it to the action contract.

    nodejs_conformance_test.py PATH/TO/action_proxy.js [unittest options]

Exit code 77 where there is no Node.js: the images' own is tested end to end.
"""

import base64
import io
import shutil
import sys
import threading
import unittest
import zipfile

import conformance
from action_process import ActionTest, ServerTest
from containers import SKIP_EXIT_CODE

PROXY = sys.argv.pop(1)
NODE = shutil.which("node")


def zipped(compression=zipfile.ZIP_DEFLATED, **files):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, text in files.items():
            archive.writestr(name.replace("__", "/").replace("_", "."), text)
    return base64.b64encode(buffer.getvalue()).decode()


class NodejsActionTest(ServerTest, ActionTest):
    command = (NODE, PROXY)
    probe = "nodejs"
    main_file = "handler.js"
    telling = "exports.main = (got) => ({ got, id: process.env.__OW_ACTIVATION_ID });"
    stopping = (
        "const fs = require('fs');\n"
        "exports.main = async (args) => {\n"
        "  process.kill(process.pid, 'SIGTERM');\n"
        "  await new Promise((resolve) => setTimeout(resolve, 50));\n"
        "  fs.writeFileSync(args.started, '');\n"
        "  while (!fs.existsSync(args.go_on)) await new Promise((resolve) => setTimeout(resolve, 10));\n"
        "  return { finished: true };\n"
        "};\n"
    )

    def test_code_sent_as_text(self):
        with self.action() as action:
            self.check(self.suite(action).probe())

    def test_baked_code(self):
        for source in (
            "function main(args) { return { got: args }; }",
            "exports.main = async (args) => ({ got: args });",
            "module.exports = (args) => Promise.resolve({ got: args });",
        ):
            with self.subTest(source), self.baked(source) as action:
                self.check(self.suite(action).baked([({"a": 1}, {"got": {"a": 1}})]))

    def test_modules(self):
        (self.code / "sibling.mjs").write_text("export const value = 'sibling';\n")
        source = "import { value } from './sibling.mjs';\nexport function main() { return { value }; }"
        with self.baked(source, "handler.mjs") as action:
            action.client.init().expect(200)
            self.assertEqual(action.client.run({}).expect(200), {"value": "sibling"})

    def test_function_name_and_environment_of_the_image(self):
        source = "exports.predict = () => ({ threads: process.env.OMP_NUM_THREADS });\nexports.other = () => [];"
        environment = {"FNIMAGE_ACTION_FUNCTION": "predict", "OMP_NUM_THREADS": "2"}
        with self.baked(source, **environment) as action:
            action.client.init().expect(200)
            self.assertEqual(action.client.run({}).expect(200), {"threads": "2"})
        with self.baked(source, **environment) as action:
            action.client.init(main="other").expect(200)
            self.assertEqual(action.client.run({}).expect(200), [])

    def test_code_sent_as_zip(self):
        for compression in (zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED):
            code = zipped(
                compression,
                package_json='{"main": "lib/start.js"}',
                lib__start_js="exports.go = () => require('./helper');",
                lib__helper_js="module.exports = { from: 'zip' };",
            )
            with self.subTest(compression), self.action() as action:
                for bad in ("!", base64.b64encode(b"no zip").decode(), zipped(a_js="")):
                    action.client.init(code=bad, binary=True).expect_error(502)
                action.client.init(code=code, binary=True, main="go").expect(200)
                self.assertEqual(action.client.run({}).expect(200), {"from": "zip"})

    def test_hostile_zips(self):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("../../escaped.js", "")
        bomb = zipped(index_js="x" * (600 << 20))
        with self.action() as action:
            code = base64.b64encode(buffer.getvalue()).decode()
            self.assertIn("outside", action.client.init(code=code, binary=True).expect_error(502))
            action.client.init(code=bomb, binary=True).expect_error(413)
        self.assertEqual(list(self.root.parent.glob("escaped.js")), [])

    def test_rejections(self):
        source = (
            "exports.main = ({ how }) => {\n"
            "  if (how === 'object') return Promise.reject({ code: 7 });\n"
            "  if (how === 'error') return Promise.reject(new RangeError('too far'));\n"
            "  if (how === 'later') return new Promise(() => setTimeout(() => { throw new Error('stray'); }, 1));\n"
            "};\n"
        )
        with self.baked(source) as action:
            action.client.init().expect(200)
            answer = action.client.run({"how": "object"})
            self.assertEqual(answer.expect(200), {"error": {"code": 7}})
            self.assertIn("too far", action.client.run({"how": "error"}).expect_error(502))
            self.assertIn("stray", action.client.run({"how": "later"}).expect_error(502))
            self.assertEqual(action.client.run({}).expect(200), {})  # undefined

    def test_concurrency_where_it_is_declared(self):
        # Each waits for the other: one at a time they would never end.
        source = (
            "const waiting = [];\n"
            "exports.main = (args) => new Promise((resolve) => {\n"
            "  waiting.push(() => resolve(args));\n"
            "  if (waiting.length === 2) waiting.forEach((go) => go());\n"
            "});\n"
        )
        with self.baked(source, __OW_ALLOW_CONCURRENT="true") as action:
            action.client.init().expect(200)
            answers = {}
            calls = [
                threading.Thread(
                    target=lambda n=n: answers.update({n: action.client.run({"n": n}).expect(200)})
                )
                for n in range(2)
            ]
            for call in calls:
                call.start()
            for call in calls:
                call.join()
            self.assertEqual(answers, {0: {"n": 0}, 1: {"n": 1}})


if __name__ == "__main__":
    if NODE is None:
        print("skipped: node is not installed: apt-get install nodejs")
        sys.exit(SKIP_EXIT_CODE)
    unittest.main(verbosity=2)
