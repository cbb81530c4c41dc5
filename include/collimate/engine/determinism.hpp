#pragma once
// `train.deterministic`.

namespace collimate {

/// *Local.* Makes libtorch take the variant of an operation that gives the same bits every time, and refuse, by an
/// error that names it, an operation that has none. Our own sums have one order anyway: rank by rank in the `mpi`
/// backend, block by block in kernels. For this process, from now on.
void set_deterministic(bool is_deterministic);

}  // namespace collimate
