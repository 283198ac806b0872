"""A filter for OpenSMTPD (smtpd-filters(7)) that refuses messages after their
data, in the words of filter-rspamd: those to "spam" for good, those to "putoff"
for now."""

import sys

WORDS = {"|spam@": "reject|550 message rejected", "|putoff@": "reject|421 greylisted"}
verdicts = {}  # by session
for line in sys.stdin:
    fields = line.rstrip("\n").split("|")
    if fields[:2] == ["config", "ready"]:
        for event in "report|smtp-in|tx-begin", "report|smtp-in|tx-rcpt", "filter|smtp-in|commit":
            print("register|" + event)
        print("register|ready", flush=True)
    elif fields[0] == "report" and fields[4] == "tx-begin":
        verdicts[fields[5]] = "proceed"
    elif fields[0] == "report" and fields[4] == "tx-rcpt":
        for to, verdict in WORDS.items():
            if to in line:
                verdicts[fields[5]] = verdict
    elif fields[0] == "filter":
        session, token = fields[5:7]
        print("filter-result", session, token, verdicts[session], sep="|", flush=True)
