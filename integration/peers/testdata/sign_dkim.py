"""Signs the message on stdin with dkimpy and writes it to stdout.

The arguments are the key (a file of PEM for RSA, of base64 for Ed25519), the
selector, the domain, the algorithm, the two canonical forms, and "all" or
"part": whether the whole body is signed or only what there is of it now (l=).
"""
import sys

import dkim

key, selector, domain, algorithm, header, body, length = sys.argv[1:]
with open(key, "rb") as f:
    private = f.read()
message = sys.stdin.buffer.read()
field = dkim.sign(
    message, selector.encode(), domain.encode(), private, signature_algorithm=algorithm.encode(),
    canonicalize=(header.encode(), body.encode()), length=length == "part",
)
sys.stdout.buffer.write(field + message)
