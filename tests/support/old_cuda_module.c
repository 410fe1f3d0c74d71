/* A muster-cuda.so of another version: all that a loader may read of it is the first field. */
struct old_module {
    const char *abi;
};
extern const struct old_module mu_cuda_module;
const struct old_module mu_cuda_module = {"muster 0.0.0 1 2 3"};
