"""All that is SGLang's: the command line of an engine, and the flags of its releases."""
