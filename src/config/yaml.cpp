#include <algorithm>
#include <sstream>

#include <fmt/format.h>
#include <yaml-cpp/depthguard.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include "collimate/config/node.hpp"
#include "text_check.hpp"

namespace collimate {

namespace {

Place place_at(const Place& source, int line_index, int column_index) {
  if (source.line == 0) return source;
  return {.source = source.source, .line = line_index + 1, .column = column_index + 1};
}

/// Builds the tree from the library's events. (Its own tree forgets anchors and merges, and accepts duplicate keys.)
class TreeBuilder : public YAML::EventHandler {
 public:
  TreeBuilder(const Place& place, Findings& findings) : place_(place), findings_(findings) {}

  [[nodiscard]] std::optional<ConfigNode> take_root() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark& /*mark*/) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    add_value(make(ConfigNode::Kind::kNull, mark, "", anchor));
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t /*anchor*/) override {
    report(mark, "an alias: aliases are not supported; write the value out");
    add_value({.kind = ConfigNode::Kind::kInvalid, .place = at(mark)});
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    ConfigNode node = make(ConfigNode::Kind::kScalar, mark, tag, anchor);
    if (is_explicit(tag)) node.kind = ConfigNode::Kind::kInvalid;
    node.text = value;
    node.is_quoted = tag == "!";
    add_value(std::move(node));
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value /*style*/) override {
    open(ConfigNode::Kind::kList, mark, tag, anchor);
  }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value /*style*/) override {
    open(ConfigNode::Kind::kMap, mark, tag, anchor);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapEnd() override { close(); }

 private:
  /// A list or map whose end has not come yet, with the key that waits for its value.
  struct Open {
    ConfigNode node;
    std::optional<ConfigNode> key;
    bool is_tagged = false;
  };

  [[nodiscard]] Place at(const YAML::Mark& mark) const { return place_at(place_, mark.line, mark.column); }

  void report(const YAML::Mark& mark, std::string message) {
    findings_.add({.place = at(mark), .key_path = "", .message = std::move(message)});
  }

  /// A node with the checks that all kinds share.
  ConfigNode make(ConfigNode::Kind kind, const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) {
    if (anchor != 0) report(mark, "an anchor: anchors are not supported; write the value out where it is needed");
    if (is_explicit(tag)) report(mark, fmt::format("the tag {}: tags are not supported; leave it out", tag));
    return {.kind = kind, .place = at(mark)};
  }

  /// The library gives "", "?" and "!" where the file has no tag.
  static bool is_explicit(const std::string& tag) { return tag.size() > 1; }

  void open(ConfigNode::Kind kind, const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) {
    open_.push_back({.node = make(kind, mark, tag, anchor), .key = {}, .is_tagged = is_explicit(tag)});
  }

  void add_value(ConfigNode node) {
    if (open_.empty()) {
      root_ = std::move(node);
    } else if (Open& last = open_.back(); last.node.kind == ConfigNode::Kind::kList) {
      last.node.items.push_back(std::move(node));
    } else if (!last.key) {
      last.key = std::move(node);
    } else {
      add_entry(last, std::move(node));
    }
  }

  void add_entry(Open& map, ConfigNode value) {
    const ConfigNode key = std::move(*map.key);
    map.key.reset();
    if (key.kind == ConfigNode::Kind::kInvalid) return;
    if (key.kind != ConfigNode::Kind::kScalar) {
      findings_.add({.place = key.place, .message = fmt::format("expected a word as key, got {}", key.shown())});
    } else if (key.text == "<<" && !key.is_quoted) {
      findings_.add({.place = key.place, .message = "a merge key: merge keys are not supported; write the keys out"});
    } else {
      // The library places an absent value at whatever follows.
      const bool is_absent = value.kind == ConfigNode::Kind::kNull && value.place.line != key.place.line;
      if (is_absent) value.place = key.place;
      value.key = key.text;
      value.key_place = key.place;
      map.node.items.push_back(std::move(value));
    }
  }

  void close() {
    Open closed = std::move(open_.back());
    open_.pop_back();
    if (closed.is_tagged) closed.node.kind = ConfigNode::Kind::kInvalid;
    add_value(std::move(closed.node));
  }

  Place place_;
  Findings& findings_;
  std::vector<Open> open_;
  std::optional<ConfigNode> root_;
};

/// Notes whether there is a document, and passes over its content.
class DocumentProbe : public YAML::EventHandler {
 public:
  [[nodiscard]] const std::optional<YAML::Mark>& start() const { return start_; }

  void OnDocumentStart(const YAML::Mark& mark) override { start_ = mark; }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& /*mark*/, YAML::anchor_t /*anchor*/) override {}
  void OnAlias(const YAML::Mark& /*mark*/, YAML::anchor_t /*anchor*/) override {}
  void OnScalar(const YAML::Mark& /*mark*/, const std::string& /*tag*/, YAML::anchor_t /*anchor*/,
                const std::string& /*value*/) override {}
  void OnSequenceStart(const YAML::Mark& /*mark*/, const std::string& /*tag*/, YAML::anchor_t /*anchor*/,
                       YAML::EmitterStyle::value /*style*/) override {}
  void OnMapStart(const YAML::Mark& /*mark*/, const std::string& /*tag*/, YAML::anchor_t /*anchor*/,
                  YAML::EmitterStyle::value /*style*/) override {}
  void OnSequenceEnd() override {}
  void OnMapEnd() override {}

 private:
  std::optional<YAML::Mark> start_;
};

bool report_bad_byte(std::string_view text, const Place& place, Findings& findings) {
  const auto offset = find_bad_byte(text);
  if (!offset) return false;
  const std::string_view before = text.substr(0, *offset);
  const auto line_index = static_cast<int>(std::ranges::count(before, '\n'));
  const std::size_t line_start = before.rfind('\n') + 1;  // npos + 1 is 0
  findings.add({.place = place_at(place, line_index, static_cast<int>(*offset - line_start)),
                .message = fmt::format("the byte 0x{:02x} is not text; expected a YAML file in UTF-8",
                                       static_cast<unsigned char>(text[*offset]))});
  return true;
}

std::string explain(const std::string& message) {
  return message == YAML::ErrorMsg::DOC_IN_SCALAR ? "quotes that are not closed" : message;
}

}  // namespace

std::optional<ConfigNode> parse_yaml(std::string_view text, const Place& place, Findings& findings) {
  if (report_bad_byte(text, place, findings)) return std::nullopt;
  try {
    // The mark of the document's end makes an error of quotes that are never closed: the library lets them pass.
    std::istringstream stream{fmt::format("{}\n...\n", text)};
    YAML::Parser parser(stream);
    TreeBuilder builder(place, findings);
    if (!parser.HandleNextDocument(builder)) return std::nullopt;
    // Once only: the library would go on for ever over what it cannot make a document of.
    DocumentProbe second;
    if (parser.HandleNextDocument(second)) {
      const YAML::Mark mark = second.start().value_or(YAML::Mark());
      findings.add({.place = place_at(place, mark.line, mark.column),
                    .message = "text after the end of the document; expected one YAML document"});
    }
    return builder.take_root();
  } catch (const YAML::DeepRecursion&) {
    findings.add({.place = place, .message = "nested too deeply; expected a map of sections"});
  } catch (const YAML::Exception& error) {
    const bool has_mark = !error.mark.is_null();
    findings.add({.place = has_mark ? place_at(place, error.mark.line, error.mark.column) : place,
                  .message = fmt::format("not valid YAML: {}", explain(error.msg))});
  }
  return std::nullopt;
}

}  // namespace collimate
