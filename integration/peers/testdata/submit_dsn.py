"""Submits a mail that asks to be told by mail what becomes of it (RFC 3461).
Arguments: host, port, sender, recipient."""
import smtplib
import sys

host, port, sender, recipient = sys.argv[1:]
with smtplib.SMTP(host, int(port), local_hostname="office.test", source_address=(host, 0)) as server:
    server.sendmail(
        sender,
        [recipient],
        f"From: {sender}\r\nTo: {recipient}\r\nSubject: Invoice\r\n\r\nHello\r\n",
        mail_options=["RET=HDRS", "ENVID=env+2B1"],
        rcpt_options=["NOTIFY=SUCCESS,FAILURE", f"ORCPT=rfc822;{recipient}"],
    )
