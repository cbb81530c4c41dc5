#pragma once
// c10d's stores of keys and values: where the ranks of a group find each other.

#include <string>

#include <c10/util/intrusive_ptr.h>
#include <torch/csrc/distributed/c10d/Store.hpp>

#include "collimate/comm/job_store/key_values.hpp"

namespace collimate::detail {

using Store = c10::intrusive_ptr<c10d::Store>;

/// *Local.* A store for the threads of this process.
Store make_hash_store();

/// *Local.* The job's store as c10d's backends use one. `values` must outlive it.
Store make_job_store(KeyValues& values);

/// *Local.* The part of `store` whose keys begin with `prefix`.
Store with_prefix(const std::string& prefix, const Store& store);

}  // namespace collimate::detail
