"""A certificate authority of a test, and what it signs for 127.0.0.1."""

import pathlib
import subprocess

NEW_KEY = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2".split()


class Authority:
    def __init__(self, directory, name="ca"):
        self.directory = pathlib.Path(directory)
        self.name = name
        self.cert, self.key = self._paths(name)
        self._make(self.cert, self.key, name, [])

    def _paths(self, name):
        return self.directory / f"{name}.pem", self.directory / f"{name}.key"

    def _make(self, cert, key, name, options):
        command = ["openssl", "req", "-x509", *NEW_KEY, "-subj", f"/CN={name}"]
        subprocess.run(
            [*command, "-keyout", key, "-out", cert, *options], check=True, capture_output=True
        )

    def issue(self, name):
        """(certificate, key) for 127.0.0.1"""
        cert, key = self._paths(f"{self.name}-{name}")
        options = ["-CA", self.cert, "-CAkey", self.key]
        for extension in ("subjectAltName=IP:127.0.0.1", "basicConstraints=critical,CA:FALSE"):
            options += ["-addext", extension]
        self._make(cert, key, name, options)
        return cert, key
