#include "collimate/comm/job_store.hpp"

#include "c10d/stores.hpp"

namespace collimate {

JobStore::JobStore(Communicator& world) : shared_(std::make_unique<detail::SharedStore>(world)) {}

JobStore::~JobStore() = default;

void JobStore::close() { shared_->close(); }

}  // namespace collimate
