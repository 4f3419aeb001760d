"""Run in the environment of a freshly built wheel: the native engine must be inside and work."""

import sys

import pysframe

backend = pysframe.backend_info()
print(backend)
if backend.engine != "native":
    sys.exit("the wheel has no native engine, or it cannot run here")

suite = pysframe.CipherSuite.AES_128_GCM_SHA256_128
base_key = suite.generate_base_key()
sender = pysframe.Sender(suite, kid=7, base_key=base_key, next_ctr=0)
receiver = pysframe.Receiver(suite)
receiver.add_key(7, base_key)
if receiver.unprotect(sender.protect(b"frame", b"metadata"), b"metadata") != b"frame":
    sys.exit("a frame did not come back")
