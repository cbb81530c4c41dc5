#pragma once
// Which code an input reaches, as GCC's -fsanitize-coverage=trace-pc tells it.

namespace collimate::fuzz {

/// Forgets what the last input has reached.
void begin_coverage();

/// Whether the input since begin_coverage() went somewhere, or somewhere more often by a power of two, where none had
/// gone before. Remembers where it went.
bool reached_something_new();

}  // namespace collimate::fuzz
