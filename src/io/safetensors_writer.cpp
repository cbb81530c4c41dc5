#include <nlohmann/json.hpp>

#include "collimate/base/error.hpp"
#include "collimate/io/safetensors.hpp"

namespace collimate {

namespace {

/// The header in the order of the bytes, padded with spaces so that the data begin at a multiple of 8.
std::string header_of(const std::vector<TensorInfo>& tensors) {
  nlohmann::ordered_json header;
  header["__metadata__"] = {{"format", "pt"}};
  std::uint64_t begin = 0;
  for (const TensorInfo& tensor : tensors) {
    const std::uint64_t end = begin + tensor.num_bytes();
    check(!header.contains(tensor.name), "a safetensors file has each name once");
    header[tensor.name] = {
        {"dtype", storage_dtype_name(tensor.dtype)}, {"shape", tensor.shape}, {"data_offsets", {begin, end}}};
    begin = end;
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  return text;
}

}  // namespace

SafetensorsWriter::SafetensorsWriter(OutputFile& file, std::vector<TensorInfo> tensors)
    : file_(file), tensors_(std::move(tensors)) {
  const std::string header = header_of(tensors_);
  const std::uint64_t header_bytes = header.size();
  file_.write(std::as_bytes(std::span(&header_bytes, 1)));
  file_.write(header);
}

void SafetensorsWriter::append(std::span<const std::byte> bytes) {
  check(num_appended_ < tensors_.size(), "no more tensors are appended than were declared");
  appended_bytes_ += bytes.size();
  const std::uint64_t num_bytes = tensors_[num_appended_].num_bytes();
  check(appended_bytes_ <= num_bytes, "a tensor has the bytes that were declared");
  file_.write(bytes);
  if (appended_bytes_ < num_bytes) return;
  ++num_appended_;
  appended_bytes_ = 0;
}

void SafetensorsWriter::finish() const {
  check(num_appended_ == tensors_.size(), "all declared tensors were appended");
}

}  // namespace collimate
