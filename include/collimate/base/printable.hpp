#pragma once
// Text of foreign files, names and libraries, made fit for a terminal and for the log of a job.

#include <cstddef>
#include <string>
#include <string_view>

namespace collimate {

/// Bytes of the well-formed UTF-8 character (RFC 3629) that `text` begins with; 0 if it begins with none. *Local.*
std::size_t utf8_bytes(std::string_view text);

/// `text` with what a terminal would obey or hide written out: control characters and bytes that are no UTF-8 as \x1b,
/// those of C1, line separators and controls of writing direction as \u202e: in quotes, YAML reads it back. Line feeds,
/// tabs and everything else stay. *Local.*
std::string printable(std::string_view text);

/// The same on one line: line feeds and tabs are written out too, as \n and \t. *Local.*
std::string printable_line(std::string_view text);

}  // namespace collimate
