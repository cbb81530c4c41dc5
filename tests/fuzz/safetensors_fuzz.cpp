// Safetensors files: the header's length, its JSON, and what follows it.

#include <cstring>
#include <numeric>

#include "collimate/io/safetensors.hpp"
#include "fuzz/engine/mutate.hpp"
#include "fuzz/engine/scratch.hpp"
#include "fuzz/engine/target.hpp"

namespace collimate::fuzz {

namespace {

constexpr std::size_t kLengthBytes = 8;

std::string written(const std::vector<TensorInfo>& tensors) {
  const std::string path = scratch() / "seed.safetensors";
  std::filesystem::remove(path);
  OutputFile file(path);
  SafetensorsWriter writer(file, tensors);
  for (const TensorInfo& tensor : tensors) writer.append(std::vector<std::byte>(tensor.num_bytes(), std::byte{1}));
  writer.finish();
  file.close();
  return read_bytes(path);
}

}  // namespace

std::vector<std::string> seeds() {
  return {
      written({}), written({{"a.weight", StorageDtype::kF32, {2, 3}}, {"b", StorageDtype::kBF16, {4}}}),
      written(
          {{"scalar", StorageDtype::kF64, {}}, {"empty", StorageDtype::kU8, {0, 5}}, {"x", StorageDtype::kBool, {1}}})};
}

void read(const std::string& input) {
  const std::string path = scratch() / "input.safetensors";
  write_bytes(path, input);
  const SafetensorsFile file(path);
  std::uint64_t num_bytes = 0;
  for (const TensorView& tensor : file.tensors()) {
    expect(tensor.bytes.size() == tensor.num_bytes(), "a tensor has the bytes of its shape");
    expect(file.find(tensor.name) != nullptr, "a tensor is found by its name");
    num_bytes += tensor.bytes.size();
    // Every byte is read, so that one outside of the mapping is found.
    static_cast<void>(hash_bytes(tensor.bytes));
  }
  expect(num_bytes <= file.file_bytes().size(), "tensors do not overlap");
}

std::string mutate(std::string input, Dice& dice) {
  std::uint64_t length = 0;
  if (input.size() >= kLengthBytes) std::memcpy(&length, input.data(), kLengthBytes);
  if (dice.one_in(5) || input.size() < kLengthBytes || length > input.size() - kLengthBytes) {
    return mutate_bytes(std::move(input), dice);
  }
  const std::string header = mutate_json(input.substr(kLengthBytes, length), dice);
  const std::string data = input.substr(kLengthBytes + length);
  const std::uint64_t new_length = header.size();
  input.resize(kLengthBytes);
  std::memcpy(input.data(), &new_length, kLengthBytes);
  return input + header + data;
}

}  // namespace collimate::fuzz
