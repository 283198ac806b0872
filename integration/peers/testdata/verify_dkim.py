"""Verifies every DKIM signature of the message on stdin with dkimpy.

The argument is a file of JSON: DNS names with their TXT records. For each
signature there is a line: its algorithm, its selector, and whether it is
good. The same is asked of dkimverify's own library call, nothing is ours.
"""
import json
import sys

import dkim

with open(sys.argv[1], encoding="ascii") as f:
    records = json.load(f)


def txt(name, timeout=5):
    record = records.get(name.decode("ascii").rstrip("."))
    return None if record is None else record.encode("ascii")


message = sys.stdin.buffer.read()
verifier = dkim.DKIM(message)
count = sum(1 for name, _ in verifier.headers if name.lower() == b"dkim-signature")
for index in range(count):
    try:
        good = verifier.verify(idx=index, dnsfunc=txt)
    except dkim.DKIMException as why:
        good = f"{type(why).__name__}: {why}"
    fields = verifier.signature_fields
    print(fields[b"a"].decode(), fields[b"s"].decode(), good)
