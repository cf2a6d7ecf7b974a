"""What all real clients say about a cache, and whether that changed more than it should."""

from larder.clients import KINDS, Client


class Judges:
    """One process of each client for a whole session; a cache is named in each request."""

    def __init__(self, hub, home):
        self.hub = hub
        self.home = home
        self.clients = {}

    def __getitem__(self, kind):
        if kind not in self.clients:
            self.clients[kind] = Client(kind, self.hub.url, self.home)
        return self.clients[kind]

    def scan(self, cache):
        """{kind: {"warnings", "repos"}}"""
        return {kind: self[kind].scan(cache) for kind in KINDS}

    def close(self):
        for client in self.clients.values():
            client.close()


def without(repos, key, commit):
    """The repositories as they must be after one revision is gone."""
    left = {name: repo["revisions"] for name, repo in repos.items() if name != key}
    rest = {c: r for c, r in repos.get(key, {"revisions": {}})["revisions"].items() if c != commit}
    return left | ({key: rest} if rest else {})


def assert_only_gone(before, after, key, commit, folder):
    """`key` is "model/acme/tiny", `folder` its directory in the cache."""
    for kind in before:
        new = set(after[kind]["warnings"]) - set(before[kind]["warnings"])
        assert not new, f"{kind} warns: {new}"
        naming = [w for w in after[kind]["warnings"] if folder in w]
        assert not naming, f"{kind} warns of the repository: {naming}"
        seen = {name: repo["revisions"] for name, repo in after[kind]["repos"].items()}
        assert seen == without(before[kind]["repos"], key, commit), kind
