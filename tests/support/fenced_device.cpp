#include "fenced_device.hpp"

#include <map>
#include <mutex>
#include <system_error>

#include <ATen/EmptyTensor.h>
#include <ATen/core/Tensor.h>
#include <ATen/detail/PrivateUse1HooksInterface.h>
#include <ATen/native/CPUFallback.h>
#include <ATen/ops/_reshape_alias_native.h>
#include <ATen/ops/as_strided_native.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/view_native.h>
#include <c10/core/Allocator.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <sys/mman.h>
#include <torch/library.h>
#include <unistd.h>

namespace collimate::test {

c10::Device fenced_device() { return {c10::DeviceType::PrivateUse1, 0}; }

namespace {

void protect(void* memory, std::size_t bytes, int protection) {
  if (::mprotect(memory, bytes, protection) != 0) throw std::system_error(errno, std::generic_category(), "mprotect");
}

// Whole pages that nobody may touch.
class FencedAllocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(std::size_t num_bytes) override {
    const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    const std::size_t whole = (num_bytes + page - 1) / page * page;
    if (whole == 0) return {nullptr, fenced_device()};
    void* const memory = ::mmap(nullptr, whole, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::system_error(errno, std::generic_category(), "mmap");
    const std::scoped_lock lock(mutex_);
    bytes_[memory] = whole;
    return {memory, memory, &release, fenced_device()};
  }
  [[nodiscard]] c10::DeleterFnPtr raw_deleter() const override { return &release; }
  void copy_data(void* target, const void* source, std::size_t num_bytes) const override {
    open(target);
    open(const_cast<void*>(source));
    default_copy_data(target, source, num_bytes);
    close(const_cast<void*>(source));
    close(target);
  }

  void open(void* memory) const { protect(memory, bytes_of(memory), PROT_READ | PROT_WRITE); }
  void close(void* memory) const { protect(memory, bytes_of(memory), PROT_NONE); }

  static FencedAllocator& instance() {
    static FencedAllocator allocator;
    return allocator;
  }

 private:
  [[nodiscard]] std::size_t bytes_of(void* memory) const {
    const std::scoped_lock lock(mutex_);
    return bytes_.at(memory);
  }
  static void release(void* memory) {
    FencedAllocator& self = instance();
    const std::scoped_lock lock(self.mutex_);
    ::munmap(memory, self.bytes_.at(memory));
    self.bytes_.erase(memory);
  }

  mutable std::mutex mutex_;
  std::map<void*, std::size_t> bytes_;
};

// The tensor's memory as the CPU sees it, while this lives. A tensor of the CPU is given as it is.
class HostView {
 public:
  explicit HostView(const at::Tensor& tensor) : view_(tensor) {
    if (tensor.is_cpu()) return;
    void* const memory = tensor.storage().mutable_data();
    if (memory != nullptr) {
      memory_ = memory;
      FencedAllocator::instance().open(memory);
    }
    auto* const first = static_cast<std::byte*>(memory);
    view_ = at::from_blob(first == nullptr ? nullptr : first + tensor.storage_offset() * tensor.element_size(),
                          tensor.sizes(), tensor.strides(), tensor.options().device(at::kCPU));
  }
  ~HostView() {
    if (memory_ != nullptr) FencedAllocator::instance().close(memory_);
  }
  HostView(const HostView&) = delete;
  HostView& operator=(const HostView&) = delete;

  [[nodiscard]] const at::Tensor& operator*() const { return view_; }

 private:
  at::Tensor view_;
  void* memory_ = nullptr;
};

at::Tensor empty(c10::IntArrayRef size, std::optional<at::ScalarType> dtype, std::optional<at::Layout> /*layout*/,
                 std::optional<at::Device> /*device*/, std::optional<bool> /*pin_memory*/,
                 std::optional<at::MemoryFormat> format) {
  return at::detail::empty_generic(size, &FencedAllocator::instance(),
                                   c10::DispatchKeySet(c10::DispatchKey::PrivateUse1), c10::dtype_or_default(dtype),
                                   format);
}

at::Tensor empty_strided(c10::IntArrayRef size, c10::IntArrayRef stride, std::optional<at::ScalarType> dtype,
                         std::optional<at::Layout> /*layout*/, std::optional<at::Device> /*device*/,
                         std::optional<bool> /*pin_memory*/) {
  return at::detail::empty_strided_generic(size, stride, &FencedAllocator::instance(),
                                           c10::DispatchKeySet(c10::DispatchKey::PrivateUse1),
                                           c10::dtype_or_default(dtype));
}

at::Tensor copy_from(const at::Tensor& from, const at::Tensor& to, bool /*non_blocking*/) {
  const HostView source(from);
  // Within one storage the first to close would shut out the other.
  const bool is_shared = from.device() == to.device() && from.is_alias_of(to);
  const at::Tensor values = is_shared ? (*source).clone() : *source;
  const HostView target(to);
  (*target).copy_(values);
  return to;
}

// Only tensors that nothing has been written to are ever resized: outputs that an operator has made itself.
const at::Tensor& resize(const at::Tensor& self, c10::IntArrayRef size, std::optional<at::MemoryFormat> /*format*/) {
  const auto num_bytes = static_cast<std::size_t>(c10::multiply_integers(size)) * self.element_size();
  const c10::Storage& storage = self.storage();
  if (num_bytes > storage.nbytes()) {
    storage.set_data_ptr_noswap(FencedAllocator::instance().allocate(num_bytes));
    storage.set_nbytes(num_bytes);
  }
  self.unsafeGetTensorImpl()->set_sizes_contiguous(size);
  return self;
}

at::Tensor copy_from_and_resize(const at::Tensor& from, const at::Tensor& to) {
  if (from.sizes() != to.sizes()) resize(to, from.sizes(), std::nullopt);
  return copy_from(from, to, false);
}

at::Tensor as_strided(const at::Tensor& self, c10::IntArrayRef size, c10::IntArrayRef stride,
                      std::optional<std::int64_t> offset) {
  return at::native::as_strided_tensorimpl(self, size, stride, offset);
}

// As on a GPU, only a single number may come from the CPU.
void require_here(const at::Tensor& tensor, const c10::OperatorHandle& op) {
  if (!tensor.defined() || tensor.dim() == 0) return;
  TORCH_CHECK(tensor.device() == fenced_device(), op.operator_name(), " mixes tensors of two devices");
}

void by_cpu(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  const std::size_t num_arguments = op.schema().arguments().size();
  for (const c10::IValue& value : torch::jit::last(*stack, num_arguments)) {
    if (value.isTensor()) require_here(value.toTensor(), op);
    if (!value.isTensorList()) continue;
    for (const at::Tensor& tensor : value.toTensorList().vec()) require_here(tensor, op);
  }
  at::native::cpu_fallback(op, stack, /*error_on_views=*/true);
}

// What autograd asks of a device that has queues of its own.
struct FencedHooks final : at::PrivateUse1HooksInterface {
  [[nodiscard]] bool isBuilt() const override { return true; }
  [[nodiscard]] bool isAvailable() const override { return true; }
  [[nodiscard]] bool hasPrimaryContext(c10::DeviceIndex /*device*/) const override { return true; }
  [[nodiscard]] c10::DeviceIndex deviceCount() const override { return 1; }
};

const bool kIsRegistered = [] {
  static FencedHooks hooks;
  c10::register_privateuse1_backend("fenced");
  at::RegisterPrivateUse1HooksInterface(&hooks);
  return true;
}();

// Operators are done when they return: there is one queue, and events have nothing to wait for.
struct FencedGuard final : c10::impl::NoOpDeviceGuardImpl<c10::DeviceType::PrivateUse1> {
  [[nodiscard]] c10::Device getDevice() const override { return fenced_device(); }
  [[nodiscard]] c10::Device exchangeDevice(c10::Device /*device*/) const override { return fenced_device(); }
  [[nodiscard]] c10::Stream getStream(c10::Device /*device*/) const noexcept override {
    return c10::Stream(c10::Stream::DEFAULT, fenced_device());
  }
  [[nodiscard]] c10::Stream exchangeStream(c10::Stream stream) const noexcept override { return stream; }
  void record(void** /*event*/, const c10::Stream& /*stream*/, c10::DeviceIndex /*device*/,
              c10::EventFlag /*flag*/) const override {}
  void block(void* /*event*/, const c10::Stream& /*stream*/) const override {}
  [[nodiscard]] bool queryEvent(void* /*event*/) const override { return true; }
};
C10_REGISTER_GUARD_IMPL(PrivateUse1, FencedGuard)

}  // namespace

}  // namespace collimate::test

TORCH_LIBRARY_IMPL(aten, PrivateUse1, library) {
  library.impl("empty.memory_format", TORCH_FN(collimate::test::empty));
  library.impl("empty_strided", TORCH_FN(collimate::test::empty_strided));
  library.impl("_copy_from", TORCH_FN(collimate::test::copy_from));
  library.impl("_copy_from_and_resize", TORCH_FN(collimate::test::copy_from_and_resize));
  library.impl("resize_", TORCH_FN(collimate::test::resize));
  library.impl("as_strided", TORCH_FN(collimate::test::as_strided));
  library.impl("view", TORCH_FN(at::native::view));
  library.impl("_reshape_alias", TORCH_FN(at::native::_reshape_alias));
}

TORCH_LIBRARY_IMPL(_, PrivateUse1, library) {
  library.fallback(torch::CppFunction::makeFromBoxedFunction<&collimate::test::by_cpu>());
}
