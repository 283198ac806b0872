"""Reads a Maildir as a mail program does and prints what its failure reports
say, a line of JSON for each; then marks each as seen, which moves it to cur."""
import json
import mailbox
import sys

box = mailbox.Maildir(sys.argv[1], factory=None, create=False)
for key in sorted(box.keys()):
    message = box[key]
    parts = message.get_payload()
    status = parts[1].get_payload()
    print(json.dumps({
        "first": message.keys()[0],
        "delivered_to": message["Delivered-To"],
        "type": message.get_content_type(),
        "parts": [p.get_content_type() for p in parts],
        "recipient": status[1]["Final-Recipient"],
        "action": status[1]["Action"],
        "status": status[1]["Status"],
        "defects": [str(d) for d in message.defects] + [str(d) for p in message.walk() for d in p.defects],
        "new": message.get_subdir() == "new",
    }))
    message.set_subdir("cur")
    message.add_flag("S")
    box[key] = message
