"""Signs the message on stdin with libopendkim and writes it to stdout.

The arguments are a file with the key in PEM, the selector, the domain, and the
canonical form of header and body.
"""
import ctypes
import sys

lib = ctypes.CDLL("libopendkim.so.11")
for name in ("dkim_init", "dkim_sign"):
    getattr(lib, name).restype = ctypes.c_void_p

CANON = {"simple": 0, "relaxed": 1}  # dkim.h: dkim_canon_t
RSASHA256, WHOLE = 1, -1  # dkim_alg_t, the length that is signed


def check(what, status):
    if status != 0:
        sys.exit(f"{what}: status {status}")


key, selector, domain, canon = sys.argv[1:]
with open(key, "rb") as f:
    private = f.read()
whole = sys.stdin.buffer.read()
header, _, body = whole.partition(b"\r\n\r\n")
library = ctypes.c_void_p(lib.dkim_init(None, None))
status = ctypes.c_int()
message = ctypes.c_void_p(lib.dkim_sign(
    library, b"test", None, private, selector.encode(), domain.encode(), CANON[canon], CANON[canon], RSASHA256,
    ctypes.c_ssize_t(WHOLE), ctypes.byref(status)))
check("sign", status.value)
fields = []
for line in header.split(b"\r\n"):
    if line[:1] in (b" ", b"\t"):
        fields[-1] += b"\r\n" + line
    else:
        fields.append(line)
for field in fields:
    check(field, lib.dkim_header(message, field, ctypes.c_size_t(len(field))))
check("header", lib.dkim_eoh(message))
if body:
    check("body", lib.dkim_body(message, body, ctypes.c_size_t(len(body))))
check("message", lib.dkim_eom(message, None))
text, length = ctypes.c_char_p(), ctypes.c_size_t()
check("field", lib.dkim_getsighdr_d(message, ctypes.c_size_t(len("DKIM-Signature: ")), ctypes.byref(text), ctypes.byref(length)))
field = ctypes.string_at(text, length.value).replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
sys.stdout.buffer.write(b"DKIM-Signature: " + field + b"\r\n" + whole)
