"""NOT vLLM: one function of it that SGLang imports on a CPU without AMX. In the CPU image only."""
