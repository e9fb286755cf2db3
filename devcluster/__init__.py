"""A real Kubernetes of one node on this machine, for development and for tests.

Why it exists: there is no released package of kube-apiserver or kubelet that a plain package manager installs, and
fakes slowly become bad API servers. This program builds the real thing from its published sources, starts it beside
whatever else runs here, and takes it away again. It needs the standard library only, because `make demo` runs it
before any virtual environment exists. It must never end, change or remove something that it did not make.
"""
