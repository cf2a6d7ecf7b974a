"""HTTP as a caller of Larder's APIs sees it."""

import http.client
import json
import urllib.parse


class Answer:
    def __init__(self, status, body, headers):
        self.status = status
        self.body = body
        self.headers = headers

    @property
    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"<{self.status} {self.body[:300]!r}>"


class Http:
    """Requests to one daemon. Each is a connection of its own, as the servers want it."""

    def __init__(self, port, token=None, timeout=30):
        self.port = port
        self.token = token
        self.timeout = timeout

    def request(self, method, path, body=None, params=None, headers=None, token=True):
        if params:
            path += "?" + urllib.parse.urlencode(params)
        data = body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode()
        all_headers = {"Content-Type": "application/json"} if data is not None else {}
        if token and self.token:
            all_headers["Authorization"] = f"Bearer {self.token}"
        all_headers |= headers or {}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=self.timeout)
        try:
            connection.request(method, path, data, all_headers)
            reply = connection.getresponse()
            return Answer(reply.status, reply.read().decode(), reply.headers)
        except http.client.IncompleteRead as error:
            raise ConnectionResetError(f"{path}: {error}") from None  # like any other end of it
        finally:
            connection.close()

    def get(self, path, **params):
        return self.request("GET", path, params=params)

    def post(self, path, body=None, **options):
        return self.request("POST", path, body if body is not None else {}, **options)

    def delete(self, path, **params):
        return self.request("DELETE", path, params=params)

    def get_json(self, path, **params):
        answer = self.get(path, **params)
        assert answer.status == 200, answer
        return answer.json
