#include "fit_weights.hpp"

#include <filesystem>
#include <set>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "collimate/base/error.hpp"
#include "collimate/base/problem_list.hpp"
#include "collimate/model/logical_tensor.hpp"
#include "tensor_bytes.hpp"
#include "unexpected_tensor.hpp"

namespace collimate::detail {

namespace {

std::string name_of(const SafetensorsFile& file) { return std::filesystem::path(file.path()).filename().string(); }

void compare(const LogicalTensor& expected, const std::string& file, const TensorView& found, ProblemList& problems) {
  if (found.shape != expected.shape) {
    problems.add("shape", fmt::format("wrong shape: {} in {} is [{}]; config.json asks for [{}]", expected.name, file,
                                      fmt::join(found.shape, ", "), fmt::join(expected.shape, ", ")));
  } else if (!is_weight_dtype(found.dtype)) {
    problems.add("dtype", fmt::format("wrong dtype: {} in {} is {}; F64, F32, F16 and BF16 are read", expected.name,
                                      file, storage_dtype_name(found.dtype)));
  }
}

/// One pass over files and index. Collects what is wrong.
class Fitting {
 public:
  Fitting(const ModelSpec& spec, const WeightFiles& weights) : spec_(spec), weights_(weights) {
    for (const LogicalTensor& tensor : logical_tensors(spec)) logical_.emplace(tensor.name, tensor);
    if (!spec.tie_word_embeddings) return;
    LogicalTensor head = logical_.at(kEmbeddingName);
    head.name = kHeadName;
    logical_.emplace(kHeadName, head);
  }

  void take_stored() {
    for (const SafetensorsFile& file : weights_.files) {
      for (const TensorView& tensor : file.tensors()) take(tensor, name_of(file));
    }
    if (!spec_.tie_word_embeddings || place_of_.contains(kEmbeddingName) || !place_of_.contains(kHeadName)) return;
    place_of_.emplace(kEmbeddingName, place_of_.at(kHeadName));
    views_.emplace(kEmbeddingName, views_.at(kHeadName)).first->second.name = kEmbeddingName;
    views_.erase(kHeadName);
  }

  /// What the index has beyond the files that are there.
  void compare_index() {
    std::map<std::string, std::vector<std::string>> lost;  // of a missing file, what is needed of it
    std::set<std::string> files;
    for (const SafetensorsFile& file : weights_.files) files.insert(name_of(file));
    for (const auto& [tensor, file] : weights_.index) {
      if (place_of_.contains(tensor) || is_computed_buffer(tensor)) continue;
      if (!logical_.contains(tensor)) {
        expect_none(tensor, fmt::format("{}, as the index says", file), "");
      } else if (!files.contains(file)) {
        lost[file].push_back(tensor);
        place_of_.emplace(tensor, file);
      }
    }
    for (const auto& [file, tensors] : lost) {
      problems_.add("file",
                    fmt::format("{}: there is no such file, in which the index places {}{}", file, tensors.front(),
                                tensors.size() > 1 ? fmt::format(" and {} more", tensors.size() - 1) : ""));
    }
  }

  void find_missing() {
    for (const LogicalTensor& tensor : logical_tensors(spec_)) {
      if (place_of_.contains(tensor.name)) continue;
      const auto indexed = weights_.index.find(tensor.name);
      const std::string claim =
          indexed == weights_.index.end() ? "" : fmt::format("; the index places it in {}", indexed->second);
      problems_.add("missing", fmt::format("missing: {}, [{}]{}", tensor.name, fmt::join(tensor.shape, ", "), claim));
    }
  }

  [[nodiscard]] const ProblemList& problems() const { return problems_; }
  [[nodiscard]] std::map<std::string, TensorView> views() && { return std::move(views_); }

 private:
  void take(const TensorView& found, const std::string& file) {
    const auto expected = logical_.find(found.name);
    if (expected == logical_.end()) {
      if (is_computed_buffer(found.name)) return;
      return expect_none(found.name, file, fmt::format(", [{}]", fmt::join(found.shape, ", ")));
    }
    const auto [place, is_new] = place_of_.emplace(found.name, file);
    if (is_new) {
      compare(expected->second, file, found, problems_);
    } else {
      problems_.add("twice", fmt::format("twice: {} is in {} and in {}", found.name, place->second, file));
    }
    views_.emplace(found.name, found);
  }

  // Told once, whether the index has it or a file or both.
  void expect_none(const std::string& tensor, const std::string& file, const std::string& shape) {
    if (!place_of_.emplace(tensor, file).second) return;
    const std::string meaning = meaning_of_unexpected(tensor, spec_);
    problems_.add("unexpected " + meaning,
                  fmt::format("unexpected: {} in {}{}{}{}", tensor, file, shape, meaning.empty() ? "" : ": ", meaning));
  }

  const ModelSpec& spec_;
  const WeightFiles& weights_;
  std::map<std::string, LogicalTensor> logical_;  // with the head of a tied model
  std::map<std::string, std::string> place_of_;   // tensor -> file
  std::map<std::string, TensorView> views_;
  ProblemList problems_;
};

}  // namespace

std::map<std::string, TensorView> fit_weights(const ModelSpec& spec, const std::string& folder,
                                              const WeightFiles& weights) {
  Fitting fitting(spec, weights);
  fitting.take_stored();
  fitting.compare_index();
  fitting.find_missing();
  if (fitting.problems().empty()) return std::move(fitting).views();
  const std::string unread =
      weights.unread.empty() ? "" : fmt::format("\n  not read: {}", fmt::join(weights.unread, ", "));
  throw InputError(
      fmt::format("{}: the weights do not fit config.json:{}{}", folder, fitting.problems().text("\n  "), unread));
}

}  // namespace collimate::detail
