"""What tests of the Graph client say to it and hear from it."""

from portal.graph.source import GraphDirectory

BASE = "https://graph.microsoft.com"
USERS = f"{BASE}/v1.0/users"


class Tokens:
    def __init__(self):
        self.forgotten = 0

    def token(self):
        return f"token-{self.forgotten}"

    def forget(self):
        self.forgotten += 1

    fresh = token


def error(code_, message="", **inner):
    return {"error": {"code": code_, "message": message, "innerError": inner}}


def read(client, path="/users"):
    return [item for page in client.pages(path) for item in page["value"]]


def answered(graph, *rounds):
    """``$batch`` answers with these, each a list of (status, body) in the order of the requests; None leaves one out."""
    answers = iter(rounds)

    def batch(request, _context):
        asked = [item["id"] for item in request.json()["requests"]]
        pairs = [(i, answer) for i, answer in zip(asked, next(answers), strict=True) if answer]
        return {
            "responses": [{"id": i, "status": s, "headers": h, "body": b} for i, (s, h, b) in reversed(pairs)]
        }

    graph.post(f"{BASE}/v1.0/$batch", json=batch)


class Turns:
    """A SlowLimiter that never makes anybody wait and says what was asked of it."""

    def __init__(self):
        self.taken, self.held = 0, []

    def acquire(self, wait):
        self.taken += 1
        return 0.0

    def block_for(self, seconds):
        self.held.append(seconds)


def directory(client, turns=None):
    return GraphDirectory(client, turns or Turns())
