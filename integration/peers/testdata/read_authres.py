"""Reads the Authentication-Results field on stdin with python3-authres.

Prints the authserv-id, and for each result a line: the method, the result, the
reason, and the properties.
"""
import sys

import authres

field = sys.stdin.buffer.read().decode("ascii")
header = authres.AuthenticationResultsHeader.parse(field.replace("\r\n", "").replace("\t", " "))
print(header.authserv_id)
for result in header.results:
    properties = " ".join(f"{p.type}.{p.name}={p.value}" for p in result.properties)
    print(result.method, result.result, result.reason, properties)
