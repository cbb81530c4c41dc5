// HDF5 1.10.8 leaks when an object header's checksum is wrong (H5O_protect). Linked into tests that damage files on
// purpose, this keeps the leak checker of the sanitizer build to what is ours; without sanitizers nothing calls it.

extern "C" __attribute__((visibility("default"))) const char* __lsan_default_suppressions();
extern "C" const char* __lsan_default_suppressions() { return "leak:libhdf5"; }
