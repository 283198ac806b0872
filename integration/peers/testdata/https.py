"""An HTTPS server of files: https.py ADDRESS PORT ROOT CERTIFICATE KEY.

Each host has a directory of its name below ROOT.
"""

import http.server
import os
import ssl
import sys

address, port, root, certificate, key = sys.argv[1:]


class Handler(http.server.SimpleHTTPRequestHandler):
    def translate_path(self, path):
        self.directory = os.path.join(root, os.path.basename(self.headers.get("Host", "")))
        return super().translate_path(path)


server = http.server.ThreadingHTTPServer((address, int(port)), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
server.serve_forever()
