"""Counts a JUnit report: prints "PASSED FAILED"; what was skipped has failed, as has no report."""

import sys
import xml.etree.ElementTree


def count(path):
    try:
        cases = list(xml.etree.ElementTree.parse(path).getroot().iter("testcase"))
    except (OSError, xml.etree.ElementTree.ParseError):
        return 0, 1
    bad = [c for c in cases if any(c.find(tag) is not None for tag in ("failure", "error", "skipped"))]
    # ctest says in an attribute what it did not run.
    bad += [c for c in cases if c not in bad and c.get("status", "run") not in ("run",)]
    return len(cases) - len(bad), len(bad)


if __name__ == "__main__":
    passed, failed = count(sys.argv[1])
    print(passed, failed if passed + failed > 0 else 1)
