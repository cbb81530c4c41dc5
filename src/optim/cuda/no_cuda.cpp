#include "../device_update.hpp"

namespace collimate::detail {

const DeviceUpdate* cuda_update() { return nullptr; }

}  // namespace collimate::detail
