"""The action contract as notebooks keep it."""

import conformance

MAX_RESULT = 1 << 20


class NotebookSuite(conformance.Suite):
    """The contract where it differs for notebooks: they take no arrays, every value is a result,
    and what goes wrong in one is an application error."""

    def run_error(self, value):
        answer = self.run(value)
        assert set(answer.expect(200)) == {"error"}, answer.brief()
        return answer.json["error"]

    def check_echo(self):
        run = self.run
        self.run = lambda value: Echo(value) if isinstance(value, list) else run(value)
        super().check_echo()
        self.run = run
        assert "array" in self.run_error([1])

    def check_large_payloads(self):
        text = "☃" + "x" * (MAX_RESULT - len('{"text": ""}') - 3)
        assert self.run({"text": text}).expect(200) == {"text": text}
        assert str(MAX_RESULT + 1) in self.run_error({"text": text + "x"})
        assert "5242" in self.run_error({"op": "big", "size": 5 << 20})
        assert self.run({"op": "return", "what": len(text)}).expect(200) == {"result": len(text)}

    def check_bad_results(self):
        for what in ("text", 42, 1.5, True):
            assert self.run({"op": "return", "what": what}).expect(200) == {"result": what}
        assert "result['x']" in self.run_error({"op": "nan"})
        assert "type object" in self.run_error({"op": "unserialisable"})
        self.run("neither object nor array").expect_error(400)

    def check_exceptions(self):
        error = self.run_error({"op": "raise"})
        place = {"cell": 2, "exec_count": 3, "ename": "ValueError", "evalue": "thrown on purpose"}
        assert {key: error[key] for key in place} == place, error
        assert "thrown on purpose" in conformance.read(self.client.logs[1])
        assert self.run_error({"op": "exit"})["ename"] == "SystemExit"
        self.run({}).expect(200)


class Echo:
    """The answer of check_echo() for a value that is not tried."""

    def __init__(self, value):
        self.value = value

    def expect(self, _status):
        return self.value
