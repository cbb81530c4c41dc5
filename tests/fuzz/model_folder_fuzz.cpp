// The JSON files of a model folder: the index of its shards, config.json and tokenizer_config.json, which are all
// there. The first letter of an input says which of them the rest replaces.

#include "collimate/store/model_folder.hpp"
#include "fuzz/engine/mutate.hpp"
#include "fuzz/engine/scratch.hpp"
#include "fuzz/engine/target.hpp"
#include "support/model_folder.hpp"

namespace collimate::fuzz {

namespace {

namespace fs = std::filesystem;

constexpr std::size_t kTensorsPerShard = 8;

const std::map<char, std::string>& file_names() {
  static const std::map<char, std::string> names{
      {'i', "model.safetensors.index.json"}, {'c', "config.json"}, {'t', "tokenizer_config.json"}};
  return names;
}

/// A good folder, and what is in its JSON files.
const std::map<char, std::string>& good_texts() {
  static const std::map<char, std::string> texts = [] {
    const fs::path folder = scratch() / "model";
    write_sharded_folder(folder, tiny_config(), tiny_tensors(tiny_config()), kTensorsPerShard);
    write_bytes(folder / "tokenizer.json", "{}");
    write_bytes(folder / "tokenizer_config.json",
                R"({"chat_template": [{"name": "rag", "template": "a"}, {"name": "default", "template": "b"}]})");
    std::map<char, std::string> all;
    for (const auto& [letter, name] : file_names()) all[letter] = read_bytes(folder / name);
    return all;
  }();
  return texts;
}

}  // namespace

std::vector<std::string> seeds() {
  std::vector<std::string> all;
  for (const auto& [letter, text] : good_texts()) all.push_back(letter + text);
  return all;
}

void read(const std::string& input) {
  const auto name = file_names().find(input.empty() ? ' ' : input[0]);
  if (name == file_names().end()) return;
  for (const auto& [letter, text] : good_texts()) {
    write_bytes(scratch() / "model" / file_names().at(letter), letter == input[0] ? input.substr(1) : text);
  }
  const ModelFolder folder = ModelFolder::open(scratch() / "model");
  static_cast<void>(folder.weights_fingerprint());
  static_cast<void>(folder.config_fingerprint());
  static_cast<void>(folder.chat_template_fingerprint());
}

std::string mutate(std::string input, Dice& dice) {
  if (input.empty()) return input;
  return input[0] + mutate_json(input.substr(1), dice);
}

}  // namespace collimate::fuzz
