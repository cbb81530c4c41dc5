#pragma once
// The fingerprint of a model's weights as jobs get it: hashed by all ranks together, and once for many jobs.

#include <string>

#include "collimate/comm/communicator.hpp"
#include "collimate/store/model_source.hpp"

namespace collimate {

/// *Collective.* ModelSource::weights_fingerprint as hexadecimal digits, the same on every rank and for any number of
/// ranks. Each rank reads and hashes its share of the bytes, unless the folder's cache has the fingerprint; afterwards
/// rank 0 writes the cache. It is used and written only where all ranks have opened the same files, not copies of them.
/// Throws AgreedError, also when the ranks' copies have different tensors.
std::string weights_fingerprint(const ModelSource& model, Communicator& world);

/// *Local.* The same by one process, which uses the cache and does not write it.
std::string weights_fingerprint(const ModelSource& model);

}  // namespace collimate
