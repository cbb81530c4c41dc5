#include "collimate/comm/backends.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "collimate/base/error.hpp"
#include "support/throws.hpp"

namespace collimate {
namespace {

RuntimeConfig runtime(DeviceType device, BackendType backend) { return {.device = device, .backend = backend}; }

TEST(BackendsTest, auto_follows_the_device) {
  EXPECT_EQ(resolve_backend(runtime(DeviceType::kCpu, BackendType::kAuto)), BackendType::kMpi);
  EXPECT_EQ(resolve_backend(runtime(DeviceType::kCuda, BackendType::kAuto)), BackendType::kNccl);
}

TEST(BackendsTest, a_backend_that_was_asked_for_is_taken) {
  EXPECT_EQ(resolve_backend(runtime(DeviceType::kCpu, BackendType::kMpi)), BackendType::kMpi);
  EXPECT_EQ(resolve_backend(runtime(DeviceType::kCpu, BackendType::kGloo)), BackendType::kGloo);
  EXPECT_EQ(resolve_backend(runtime(DeviceType::kCuda, BackendType::kNccl)), BackendType::kNccl);
}

TEST(BackendsTest, each_device_has_its_backends) {
  EXPECT_THROW(resolve_backend(runtime(DeviceType::kCpu, BackendType::kNccl)), InvariantError);
  EXPECT_THROW(resolve_backend(runtime(DeviceType::kCuda, BackendType::kMpi)), InvariantError);
  EXPECT_THROW(resolve_backend(runtime(DeviceType::kCuda, BackendType::kGloo)), InvariantError);
}

TEST(BackendsTest, a_gpu_that_is_not_there_is_an_input_error) {
  require_device(runtime(DeviceType::kCpu, BackendType::kAuto));
  EXPECT_THAT([] { require_device(runtime(DeviceType::kCuda, BackendType::kAuto)); },
              throws<InputError>(testing::AllOf(testing::HasSubstr("runtime.device: cuda"),
                                                testing::HasSubstr("runtime.device: cpu"))));
}

}  // namespace
}  // namespace collimate
