"""The fast loops. Reading them is optional: they say nothing new.

Each loop equals its definition, and a test says so. An operator's page in `ops` holds
its definition. Where a file here has the same name, it holds what the page names as its
fast functions. A test of an optimizer or of augmentation spells out the formula.
`products` and `simd` choose and emit the instructions, `threads` and `buffers` share
out cores and memory, and the other files are made of these four.
"""
