#include "collimate/config/node.hpp"

#include "collimate/config/scalar.hpp"

namespace collimate {

std::string ConfigNode::shown() const {
  constexpr std::size_t kShownCharacters = 60;
  switch (kind) {
    case Kind::kNull:
      return "null";
    case Kind::kList:
      return "a list";
    case Kind::kMap:
      return "a map";
    case Kind::kScalar:
    case Kind::kInvalid:
      break;
  }
  const std::string cut = text.size() > kShownCharacters ? text.substr(0, kShownCharacters) + "..." : text;
  return is_quoted ? collimate::quoted(cut) : cut;
}

bool ConfigNode::is_text() const { return kind == Kind::kScalar && (is_quoted || reads_as_text(text)); }

}  // namespace collimate
