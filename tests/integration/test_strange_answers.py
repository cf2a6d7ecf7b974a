"""What larderctl makes of answers that no agent gives."""

import http.server
import json
import threading

import pytest

from larder.ctl import Ctl

STRANGE = {
    "holds": [{"id": "\x1b[2J", "models": [7, None, "hf:\x1b[2J"]}, {"models": "x"}],
    "models": [7, None, "hf:\x1b[2J"],
    "id": "\x1b[2J",
    "model": "\x1b[2J",
    "open": "\x1b[2J",
    "why": "\x1b[2J",
    "processes": "\x1b[2J",
}


class Stranger(http.server.BaseHTTPRequestHandler):
    """Answers everything with what no agent says."""

    def do_GET(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = json.dumps(STRANGE).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *_):
        pass


@pytest.mark.parametrize("argv", [["holds"], ["hold", "hf:a@1"], ["inuse", "hf:a@1"]], ids=str)
def test_answers_of_a_stranger(directory, argv):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Stranger) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        result = Ctl(directory).good(*argv, "--agent", f"http://127.0.0.1:{server.server_port}")
        server.shutdown()
    assert "\x1b" not in result.out and r"\x1b[2J" in result.out
