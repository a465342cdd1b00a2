"""NOT SGLang: a name under which the simulated engine's image starts its simulator.

It is installed in that image only, so that one entry point and one command line fit all three engine images.
"""
