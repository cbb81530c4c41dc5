#include "collimate/config/load.hpp"

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include <fmt/format.h>

namespace collimate {

namespace {

[[noreturn]] void refuse(const std::string& file_name, int error_number) {
  Findings findings({.source = file_name});
  findings.add("", fmt::format("cannot be read ({}); expected a YAML file", std::strerror(error_number)));
  findings.throw_if_any();
  throw InvariantError("a finding throws");
}

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};

}  // namespace

std::string read_config_file(const std::string& file_name) {
  const std::unique_ptr<std::FILE, CloseFile> file(std::fopen(file_name.c_str(), "rb"));
  if (!file) refuse(file_name, errno);
  std::string text;
  std::array<char, 65536> buffer{};
  while (const std::size_t bytes = std::fread(buffer.data(), 1, buffer.size(), file.get())) {
    text.append(buffer.data(), bytes);
  }
  if (std::ferror(file.get()) != 0) refuse(file_name, errno);
  return text;
}

std::optional<ConfigNode> parse_config(std::string_view text, const Place& root, Findings& findings) {
  const std::string expected = "expected a map of sections";
  auto node = parse_yaml(text, root, findings);
  if (node && node->kind == ConfigNode::Kind::kMap) return node;
  const bool is_empty = !node || node->kind == ConfigNode::Kind::kNull;
  if (!findings.empty()) return std::nullopt;
  findings.add(
      {.place = is_empty ? root : node->place,
       .key_path = "",
       .message = is_empty ? "the file is empty; " + expected : fmt::format("{}, got {}", expected, node->shown())});
  return std::nullopt;
}

}  // namespace collimate
