"""Receives webhooks and verifies them as the Standard Webhooks specification
says: https://www.standardwebhooks.com. Each genuine one is a line on stdout;
one that is not is answered 401. Arguments: address, port, secret."""
import base64
import hashlib
import hmac
import http.server
import sys
import time

key = base64.b64decode(sys.argv[3].removeprefix("whsec_"))


def genuine(headers, body):
    signed = b".".join([headers["webhook-id"].encode(), headers["webhook-timestamp"].encode(), body])
    want = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    fresh = abs(time.time() - int(headers["webhook-timestamp"])) < 300
    return fresh and any(hmac.compare_digest(want, got) for got in headers["webhook-signature"].split(" "))


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        good = self.headers["content-type"].startswith("application/json") and genuine(self.headers, body)
        print(f"{self.headers['webhook-id']} {body.decode()}" if good else f"FORGED {self.headers} {body}", flush=True)
        self.send_response(204 if good else 401)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *args):
        pass


http.server.ThreadingHTTPServer((sys.argv[1], int(sys.argv[2])), Handler).serve_forever()
