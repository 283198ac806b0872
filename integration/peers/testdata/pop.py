"""Reads a mailbox with Python's poplib and prints what it finds, a line of JSON
for each message; then deletes those that its last argument names ("1,3").

usage: pop.py plain|stls|tls HOST PORT USER PASSWORD CA NUMBERS"""
import email
import json
import poplib
import ssl
import sys

way, host, port, user, password, ca, numbers = sys.argv[1:]
context = ssl.create_default_context(cafile=ca)
if way == "tls":
    box = poplib.POP3_SSL(host, int(port), context=context, timeout=20)
else:
    box = poplib.POP3(host, int(port), timeout=20)
if way == "stls":
    assert "STLS" in box.capa(), box.capa()
    box.stls(context=context)
if numbers:  # more wrong passwords than one would be too many
    try:
        box.user(user)
        box.pass_("not " + password)
        print("let in with a wrong password")
    except poplib.error_proto as e:
        assert e.args[0].startswith(b"-ERR [AUTH]"), e
box.user(user)
box.pass_(password)
count, octets = box.stat()
total = 0
for row in box.uidl()[1]:
    number, uid = row.decode().split(" ", 1)
    _, lines, size = box.retr(int(number))
    assert size == sum(len(line) + 2 for line in lines), (size, lines)
    listed = int(box.list(int(number)).split()[2])
    message = email.message_from_bytes(b"\r\n".join(lines) + b"\r\n")
    top = box.top(int(number), 0)[1]
    status = message.get_payload()[1].get_payload()
    total += listed
    print(json.dumps({
        "uid": uid, "to": message["To"], "type": message.get_content_type(),
        "recipient": status[1]["Final-Recipient"], "status": status[1]["Status"],
        "size": size == listed, "top": top == lines[:len(top)] and top[-1] == b"",
        "defects": [str(d) for p in message.walk() for d in p.defects],
    }))
assert total == octets and count == len(box.list()[1]), (total, octets, count)
for number in filter(None, numbers.split(",")):
    box.dele(int(number))
box.quit()
