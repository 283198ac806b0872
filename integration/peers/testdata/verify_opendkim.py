"""Verifies every DKIM signature of the message on stdin with libopendkim.

The argument is a file with a line for each key: its DNS name, a space, its
record. For each signature there is a line: its selector, and whether it is
good. The library finds the keys by its own means for tests, a file.
"""
import ctypes
import sys

lib = ctypes.CDLL("libopendkim.so.11")
for name in ("dkim_init", "dkim_verify", "dkim_sig_getselector", "dkim_sig_geterrorstr"):
    getattr(lib, name).restype = ctypes.c_void_p

SETOPT, QUERY_METHOD, QUERY_INFO, QUERY_FILE = 1, 6, 7, 1  # dkim.h: dkim_op_t, dkim_opts_t, dkim_query_t
PASSED, BH_MATCH = 0x02, 0  # DKIM_SIGFLAG_PASSED, DKIM_SIGBH_MATCH


def check(what, status):
    if status != 0:
        sys.exit(f"{what}: status {status}")


library = ctypes.c_void_p(lib.dkim_init(None, None))
method = ctypes.c_int(QUERY_FILE)
check("method", lib.dkim_options(library, SETOPT, QUERY_METHOD, ctypes.byref(method), ctypes.sizeof(method)))
path = ctypes.create_string_buffer(sys.argv[1].encode(), 4096)
check("file", lib.dkim_options(library, SETOPT, QUERY_INFO, path, len(sys.argv[1]) + 1))

header, _, body = sys.stdin.buffer.read().partition(b"\r\n\r\n")
status = ctypes.c_int()
message = ctypes.c_void_p(lib.dkim_verify(library, b"test", None, ctypes.byref(status)))
check("verify", status.value)
fields = []
for line in header.split(b"\r\n"):
    if line[:1] in b" \t":
        fields[-1] += b"\r\n" + line
    else:
        fields.append(line)
for field in fields:
    check(field, lib.dkim_header(message, field, ctypes.c_size_t(len(field))))
check("header", lib.dkim_eoh(message))
check("body", lib.dkim_body(message, body, ctypes.c_size_t(len(body))))
lib.dkim_eom(message, None)  # its status is that of the first signature alone

signatures, count = ctypes.POINTER(ctypes.c_void_p)(), ctypes.c_int()
check("list", lib.dkim_getsiglist(message, ctypes.byref(signatures), ctypes.byref(count)))
for i in range(count.value):
    one = ctypes.c_void_p(signatures[i])
    check("process", lib.dkim_sig_process(message, one))
    selector = ctypes.string_at(lib.dkim_sig_getselector(one)).decode()
    good = lib.dkim_sig_getflags(one) & PASSED and lib.dkim_sig_getbh(one) == BH_MATCH
    error = lib.dkim_sig_geterror(one)
    print(selector, "True" if good and error == 0 else f"error {error} {ctypes.string_at(lib.dkim_sig_geterrorstr(error)).decode()}")
