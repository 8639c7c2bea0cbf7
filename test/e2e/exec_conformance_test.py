"""Runs the exec runtime with the host's Python and holds it to the action contract.

    exec_conformance_test.py PATH/TO/exec_action.py [unittest options]
"""

import base64
import io
import sys
import unittest
import zipfile

import conformance
from action_process import ActionTest, installed

PROXY = installed(sys.argv.pop(1))


class ExecActionTest(ActionTest):
    """A program that is started for each activation."""

    command = (sys.executable, PROXY)
    probe = "exec"
    main_file = "handler.sh"

    def test_code_sent_as_text(self):
        with self.action() as action:
            self.check(self.suite(action).probe())

    def test_baked_program(self):
        with self.baked('#!/bin/sh\necho log >&2\necho "to the log"\necho "{\\"got\\": $1}"\n') as action:
            calls = [({"a": [1, "\u2603"]}, {"got": {"a": [1, "\u2603"]}})]
            self.check(self.suite(action).baked(calls))
            self.assertIn("to the log\n", conformance.read(action.client.logs[0]))
            self.assertNotIn("got", conformance.read(action.client.logs[0]))

    def test_code_sent_as_zip(self):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("exec", '#!/bin/sh\n. "$(dirname "$0")/helper"\n')
            archive.writestr("helper", "echo '{\"from\": \"zip\"}'\n")
        with self.action() as action:
            code = base64.b64encode(buffer.getvalue()).decode()
            action.client.init(code=code, binary=True).expect(200)
            self.assertEqual(action.client.run({}).expect(200), {"from": "zip"})

    def test_last_line_counts_however_it_is_written(self):
        # In pieces, without an end of line, and with others before it that are longer than a pipe.
        source = (
            "#!/bin/sh\n"
            "head -c 300000 /dev/zero | tr '\\0' x\n"
            "echo; printf '{\"a\": '; sleep 0.2; printf '1}'\n"
        )
        with self.baked(source) as action:
            action.client.init().expect(200)
            self.assertEqual(action.client.run({}).expect(200), {"a": 1})
            self.assertIn("x" * 300_000, conformance.read(action.client.logs[0]))

    def test_program_that_does_not_read_its_input(self):
        with self.baked("#!/bin/sh\necho '[1]'\n") as action:
            action.client.init().expect(200)
            self.assertEqual(action.client.run({"big": "x" * (1 << 20)}).expect(200), [1])

    def test_what_programs_do_wrong(self):
        for source, said in (
            ("#!/bin/sh\n", "printed no result"),
            ("#!/bin/sh\necho nothing like JSON\n", "not: nothing like JSON"),
            ("#!/bin/sh\necho '{}'; exit 3\n", "exit code 3"),
            ("#!/bin/sh\necho '{}'; kill -9 $$\n", "signal 9"),
            ("no program", "cannot be started: Exec format error"),
        ):
            with self.subTest(source=source), self.baked(source) as action:
                action.client.init().expect(200)
                self.assertIn(said, action.client.run({}).expect_error(502))

    def test_main_file_that_cannot_be_started(self):
        with self.baked("#!/bin/sh\n") as action:
            (self.code / self.main_file).chmod(0o644)
            self.assertIn("not executable", action.client.init().expect_error(502))
        with self.action(FNIMAGE_ACTION_MAIN="/no/such/file") as action:
            self.assertIn("no file", action.client.init().expect_error(502))
        with self.baked("#!/bin/sh\n", FNIMAGE_EXEC_PROTOCOL="telepathy") as action:
            self.assertIn("telepathy", action.client.init().expect_error(502))


class ActionLoopTest(ActionTest):
    """A program that lives on and answers line by line."""

    command = (sys.executable, PROXY)
    probe = "actionloop"
    main_file = "handler"

    def action(self, **environment):
        return super().action(FNIMAGE_EXEC_PROTOCOL="actionloop", **environment)

    def test_code_sent_as_text(self):
        with self.action() as action:
            self.check(self.suite(action).probe())

    def test_one_process_for_all_activations(self):
        source = "#!/bin/sh\nwhile read -r line; do echo \"[$$, $line]\" >&3; done\n"
        with self.baked(source) as action:
            action.client.init().expect(200)
            first, second = (
                action.client.run({"a": 1}, activation_id=name).expect(200) for name in "xy"
            )
            self.assertEqual(first[0], second[0])
            self.assertEqual(first[1], {"value": {"a": 1}, "activation_id": "x"})
            self.assertEqual(second[1], {"value": {"a": 1}, "activation_id": "y"})

    def test_acknowledgement(self):
        ready = "#!/bin/sh\nsleep 0.1\necho '{\"ok\": true}' >&3\nread line; echo '{}' >&3\n"
        with self.baked(ready, OW_WAIT_FOR_ACK="1") as action:
            action.client.init().expect(200)
            self.assertEqual(action.client.run({}).expect(200), {})
        for answer, said in (
            ("echo '{\"ok\": false}' >&3", "cannot start"),
            ("echo ready >&3", "says that it is ready"),
            ("exit 4", "exit code 4"),
        ):
            with self.subTest(answer), self.baked("#!/bin/sh\n" + answer + "\n",
                                                  OW_WAIT_FOR_ACK="1") as action:
                self.assertIn(said, action.client.init().expect_error(502))

    def test_program_that_ends_ends_the_action(self):
        with self.baked("#!/bin/sh\nread line\nexit 5\n") as action:
            suite = self.suite(action)
            action.client.init().expect(200)
            answer = suite.with_markers(1, lambda: action.client.run({}))
            self.assertIn("exit code 5", answer.expect_error(502))
            answer = suite.with_markers(1, lambda: action.client.run({}))
            self.assertIn("has ended", answer.expect_error(502))


if __name__ == "__main__":
    unittest.main(verbosity=2)
