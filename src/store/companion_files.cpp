#include "companion_files.hpp"

#include <algorithm>
#include <array>
#include <filesystem>
#include <string_view>

#include "input_errors.hpp"

namespace collimate::detail {

namespace {

namespace fs = std::filesystem;

constexpr const char* kTemplateFolder = "additional_chat_templates";

constexpr std::array<std::string_view, 16> kTokenizerFiles{"tokenizer.json",
                                                           "tokenizer_config.json",
                                                           "tokenizer.model",
                                                           "special_tokens_map.json",
                                                           "added_tokens.json",
                                                           "vocab.json",
                                                           "vocab.txt",
                                                           "merges.txt",
                                                           "spiece.model",
                                                           "spm.model",
                                                           "tekken.json",
                                                           "normalizer.json",
                                                           "sentencepiece.bpe.model",
                                                           "chat_template.jinja",
                                                           "chat_template.json",
                                                           "SYSTEM_PROMPT.txt"};
constexpr std::array<std::string_view, 5> kOtherFiles{"generation_config.json", "preprocessor_config.json",
                                                      "processor_config.json", "image_processor_config.json",
                                                      "video_preprocessor_config.json"};
constexpr std::array<std::string_view, 5> kLicenseBeginnings{"LICENSE", "LICENCE", "COPYING", "NOTICE", "USE_POLICY"};

bool is_tokenizer_file(std::string_view name) {
  return std::ranges::find(kTokenizerFiles, name) != kTokenizerFiles.end() || name.starts_with("tokenizer.model.") ||
         name.ends_with(".tiktoken");
}

bool is_companion(std::string_view name) {
  const auto begins = [&](std::string_view beginning) { return name.starts_with(beginning); };
  return is_tokenizer_file(name) || std::ranges::find(kOtherFiles, name) != kOtherFiles.end() ||
         std::ranges::any_of(kLicenseBeginnings, begins) || name.ends_with(".py");
}

template <class Predicate>
std::vector<std::string> files_of(const fs::path& folder, Predicate belongs) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (belongs(name) && entry.is_regular_file()) names.push_back(name);
  }
  if (fs::is_directory(folder / kTemplateFolder)) {
    for (const auto& entry : fs::directory_iterator(folder / kTemplateFolder)) {
      const std::string name = entry.path().filename().string();
      if (name.ends_with(".jinja") && entry.is_regular_file())
        names.push_back((fs::path(kTemplateFolder) / name).string());
    }
  }
  std::ranges::sort(names);
  return names;
}

}  // namespace

std::vector<std::string> tokenizer_files(const std::string& folder) {
  return with_input_errors([&] { return files_of(folder, is_tokenizer_file); });
}

std::vector<std::string> companion_files(const std::string& folder) {
  return with_input_errors([&] { return files_of(folder, is_companion); });
}

}  // namespace collimate::detail
