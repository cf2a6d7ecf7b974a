"""Certificates of a test's own: an authority, and what it has signed."""

import pathlib
import subprocess


class Authority:
    """`ca` is the file that whoever trusts it needs."""

    def __init__(self, directory, name="ca"):
        self.directory = pathlib.Path(directory) / name
        self.directory.mkdir()
        self.ca, self.key = self._make("ca")

    def issue(self, *names, file="server"):
        """(certificate, key) for names as in subjectAltName: "IP:127.0.0.1", "DNS:redis.test"."""
        options = ["-addext", f"subjectAltName={','.join(names)}"] if names else []
        return self._make(file, "-CA", self.ca, "-CAkey", self.key, *options)

    def _make(self, file, *options):
        cert, key = (str(self.directory / f"{file}.{end}") for end in ("pem", "key"))
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
            + ["-nodes", "-subj", f"/CN={file}", "-days", "2", "-keyout", key, "-out", cert, *options],
            check=True,
            capture_output=True,
        )
        return cert, key
