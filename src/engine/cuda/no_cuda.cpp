#include "collimate/engine/device_peak.hpp"

namespace collimate {

std::string gpu_name(c10::Device /*device*/) { return ""; }

}  // namespace collimate
