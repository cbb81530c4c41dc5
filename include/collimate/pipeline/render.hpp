#pragma once
// A schedule as a picture. Pure.

#include <string>

#include "collimate/pipeline/schedule.hpp"
#include "collimate/pipeline/simulate.hpp"

namespace collimate {

/// An SVG image: a lane for each rank with its compute actions to scale, coloured by kind and paler for the later of a
/// rank's stages, the microbatch inside where it fits, each rank's busy share and activation peak, a time axis and a
/// legend. `name` opens the title, which says the bubble; any text. `timeline` is simulate's of this schedule. *Local.*
std::string render_svg(const Schedule& schedule, const Timeline& timeline, const std::string& name = "");

}  // namespace collimate
