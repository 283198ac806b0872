"""Prints what a delivery status notification on stdin says, as JSON, by
Python's own package for mail with its strict line ends."""
import email
import email.policy
import json
import sys

message = email.message_from_bytes(sys.stdin.buffer.read(), policy=email.policy.SMTP)
parts = list(message.iter_parts())
blocks = parts[1].get_payload()
print(json.dumps({
    "type": message.get_content_type(),
    "report": message.get_param("report-type"),
    "to": message["To"],
    "parts": [p.get_content_type() for p in parts],
    "message": {k.lower(): v for k, v in blocks[0].items()},
    "recipient": {k.lower(): v for k, v in blocks[1].items()},
    "recipients": len(blocks) - 1,
    "original": "".join(parts[2].as_string().split("\r\n\r\n")[1:])[:2000],
    "defects": [str(d) for p in message.walk() for d in p.defects],
}))
