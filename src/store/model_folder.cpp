#include "collimate/store/model_folder.hpp"

#include <algorithm>
#include <array>
#include <filesystem>

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "byte_shares.hpp"
#include "collimate/base/error.hpp"
#include "collimate/io/input_file.hpp"
#include "collimate/model/logical_tensor.hpp"
#include "tensor_bytes.hpp"
#include "weight_files.hpp"

namespace collimate {

namespace {

namespace fs = std::filesystem;

/// The config file of a folder that looks like a model at all.
std::string config_of(const std::string& path) {
  if (!fs::exists(path)) throw InputError(fmt::format("{}: there is no such model folder", path));
  if (!fs::is_directory(path))
    throw InputError(fmt::format("{}: is not a folder; a Hugging Face folder is expected", path));
  const fs::path config = fs::path(path) / "config.json";
  if (!fs::exists(config)) throw InputError(fmt::format("{}: has no config.json, so it is not a model folder", path));
  return config.string();
}

/// Tensors that older writers store although they are no parameters, or not independent ones.
bool is_tolerated(const std::string& name, const ModelSpec& spec) {
  return name.ends_with(".rotary_emb.inv_freq") || (name == kHeadName && spec.tie_word_embeddings);
}

std::string shape_problem(const LogicalTensor& expected, const std::string& file, const TensorView& found) {
  if (found.shape != expected.shape) {
    return fmt::format("wrong shape: {} in {} is [{}]; config.json asks for [{}]", expected.name, file,
                       fmt::join(found.shape, ", "), fmt::join(expected.shape, ", "));
  }
  if (!detail::is_weight_dtype(found.dtype)) {
    return fmt::format("wrong dtype: {} in {} is {}; F64, F32, F16 and BF16 are read", expected.name, file,
                       storage_dtype_name(found.dtype));
  }
  return {};
}

/// All differences between what config.json asks for and what the files have.
std::vector<std::string> problems_of(const ModelSpec& spec, const std::vector<SafetensorsFile>& files) {
  std::vector<std::string> problems;
  std::map<std::string, const LogicalTensor*> expected;
  const std::vector<LogicalTensor> logical = logical_tensors(spec);
  for (const LogicalTensor& tensor : logical) expected.emplace(tensor.name, &tensor);
  for (const SafetensorsFile& file : files) {
    const std::string file_name = fs::path(file.path()).filename().string();
    for (const TensorView& found : file.tensors()) {
      const auto place = expected.find(found.name);
      if (place != expected.end()) {
        const std::string problem = shape_problem(*place->second, file_name, found);
        if (!problem.empty()) problems.push_back(problem);
        expected.erase(place);
      } else if (!is_tolerated(found.name, spec)) {
        problems.push_back(
            fmt::format("unexpected: {} in {}, [{}]", found.name, file_name, fmt::join(found.shape, ", ")));
      }
    }
  }
  for (const LogicalTensor& tensor : logical) {
    if (!expected.contains(tensor.name)) continue;
    problems.push_back(fmt::format("missing: {}, [{}]", tensor.name, fmt::join(tensor.shape, ", ")));
  }
  return problems;
}

}  // namespace

ModelFolder ModelFolder::open(const std::string& path) { return ModelFolder(path); }

ModelFolder::ModelFolder(const std::string& path)
    : ModelSource(config_of(path)), path_(path), files_(detail::open_weight_files(path)) {
  if (const auto problems = problems_of(spec(), files_); !problems.empty()) {
    throw InputError(fmt::format("{}: the weights do not fit config.json:\n  {}", path, fmt::join(problems, "\n  ")));
  }
  for (const SafetensorsFile& file : files_) {
    for (const TensorView& found : file.tensors()) views_.emplace(found.name, &found);
  }
  for (const LogicalTensor& tensor : logical_tensors(spec())) {
    tensors_.push_back(static_cast<const TensorInfo&>(view(tensor.name)));
  }
}

const TensorView& ModelFolder::view(const std::string& name) const {
  const auto found = views_.find(name);
  check(found != views_.end(), fmt::format("the model has a tensor '{}'", name));
  return *found->second;
}

std::uint64_t ModelFolder::num_bytes() const {
  std::uint64_t bytes = 0;
  for (const TensorInfo& tensor : tensors_) bytes += tensor.num_bytes();
  return bytes;
}

at::Tensor ModelFolder::load(const std::string& name, at::ScalarType dtype) const {
  return detail::copy_of(view(name)).to(dtype);
}

at::Tensor ModelFolder::borrow(const std::string& name) const { return detail::tensor_on(view(name)); }

std::vector<Hash128> ModelFolder::tensor_hashes(std::span<const std::size_t> chosen) const {
  const int num_threads = at::get_num_threads();
  const auto shares = detail::byte_shares(tensors_, chosen, num_threads);
  std::vector<Hash128> hashes(chosen.size());
  at::parallel_for(0, num_threads, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t share = begin; share < end; ++share) {
      for (const std::size_t i : shares[static_cast<std::size_t>(share)]) {
        hashes[i] = hash_bytes(view(tensors_[chosen[i]].name).bytes);
      }
    }
  });
  return hashes;
}

std::optional<FingerprintCache> ModelFolder::fingerprint_cache() const {
  std::vector<WeightFile> files;
  for (const SafetensorsFile& file : files_) files.push_back({.path = file.path(), .state = file.state()});
  return FingerprintCache(path_, tensor_list_hash().hex(), std::move(files));
}

std::vector<std::string> ModelFolder::companion_paths() const {
  std::vector<std::string> paths;
  for (const auto& entry : fs::directory_iterator(path_)) {
    const std::string name = entry.path().filename().string();
    const bool is_companion = entry.is_regular_file() && name != "config.json" && !name.starts_with('.');
    if (is_companion && !detail::is_weight_file(name)) paths.push_back(entry.path().string());
  }
  std::ranges::sort(paths);
  return paths;
}

}  // namespace collimate
