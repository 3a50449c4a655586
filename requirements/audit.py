"""`make audit`: pip-audit on the lock. Where it reaches no service, it says itself that all is well.

The exit code is 0 if nothing is known against any package, 1 if something is or a package is not known
to the service, and 2 if nothing was audited. Then only the hashes remain: `pip install --require-hashes`
installs no file that the lock does not name.
"""

import json
import subprocess
import sys
from pathlib import Path

LOCK = Path(__file__).parent / "dev.lock"


def main() -> int:
    """Audit, and return the exit code. Each fault is a line."""
    command = [sys.executable, "-m", "pip_audit", "--disable-pip", "--require-hashes", "-r", str(LOCK)]
    done = subprocess.run([*command, "--format", "json"], capture_output=True, text=True, check=False)
    try:
        found = json.loads(done.stdout)["dependencies"]
    except ValueError:
        reason = (done.stderr.strip().splitlines() or ["no answer"])[-1]
        print(f"audit: nothing was audited: {reason}", file=sys.stderr)
        return 2
    skipped = [each["name"] for each in found if "skip_reason" in each]
    if len(skipped) == len(found):
        print(
            "audit: nothing was audited: no service of advisories can be reached here", file=sys.stderr
        )
        return 2
    for name in skipped:
        print(f"audit: {name} is not known to the service", file=sys.stderr)
    known = [(each, fault) for each in found for fault in each.get("vulns", [])]
    for each, fault in known:
        fix = ", ".join(fault["fix_versions"]) or "no version yet"
        print(f"audit: {each['name']} {each['version']}: {fault['id']}, fixed in {fix}")
    print(f"audit: {len(found) - len(skipped)} packages, {len(known)} known vulnerabilities")
    return int(bool(known or skipped))


if __name__ == "__main__":
    sys.exit(main())
