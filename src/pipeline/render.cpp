#include "collimate/pipeline/render.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "collimate/base/error.hpp"

namespace collimate {

namespace {

// Pixels.
constexpr double kLabelWidth = 70;
constexpr double kNoteWidth = 150;
constexpr double kTop = 84;
constexpr double kLaneHeight = 34;
constexpr double kLaneGap = 8;
constexpr double kAxisHeight = 52;
constexpr double kLeastPlotWidth = 720;
constexpr double kMostPlotWidth = 3000;
constexpr double kDigitWidth = 7;
constexpr double kWishedBoxWidth = 22;

struct Color {
  double red, green, blue;
};

struct Style {
  ActionKind kind;
  Color color;
  std::string_view legend;
};

constexpr std::array<Style, 4> kStyles{{{ActionKind::kForward, {74, 134, 222}, "forward"},
                                        {ActionKind::kBackward, {226, 106, 84}, "backward"},
                                        {ActionKind::kInputGradient, {240, 154, 56}, "input gradient"},
                                        {ActionKind::kWeightGradient, {92, 174, 104}, "weight gradient"}}};

std::string escape(std::string_view text) {
  std::string escaped;
  for (const char letter : text) {
    switch (letter) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      default:
        // XML has no place for other control characters, escaped or not.
        escaped += static_cast<unsigned char>(letter) < 0x20 ? ' ' : letter;
    }
  }
  return escaped;
}

/// The colour of a kind for the `turn`-th of a rank's `num_turns` stages, the later the paler.
std::string fill_of(ActionKind kind, int turn, int num_turns) {
  const auto* style = std::ranges::find(kStyles, kind, &Style::kind);
  const double white = num_turns > 1 ? 0.62 * turn / (num_turns - 1) : 0;
  const auto mix = [&](double channel) { return static_cast<int>(std::lround(channel + (255 - channel) * white)); };
  return fmt::format("#{:02x}{:02x}{:02x}", mix(style->color.red), mix(style->color.green), mix(style->color.blue));
}

/// Pixels a unit of time: the shortest action shall take its number, as far as the picture stays within its widths.
double scale_of(const Timeline& timeline) {
  if (timeline.span <= 0) return 1;
  double shortest = timeline.span;
  for (const auto& actions : timeline.actions) {
    for (const TimedAction& timed : actions) {
      const double length = timed.end - timed.begin;
      if (is_compute(timed.action.kind) && length > 0) shortest = std::min(shortest, length);
    }
  }
  const double width = std::clamp(kWishedBoxWidth * timeline.span / shortest, kLeastPlotWidth, kMostPlotWidth);
  return width / timeline.span;
}

/// The least of 1, 2, 5, 10, ... (times any power of ten) that leaves 60 pixels between ticks.
double tick_of(double scale) {
  const double least = 60 / scale;
  const double power = std::pow(10, std::floor(std::log10(least)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= least) return factor * power;
  }
  return 10 * power;
}

/// Writes one picture.
class Drawing {
 public:
  Drawing(const Schedule& schedule, const Timeline& timeline)
      : schedule_(schedule), timeline_(timeline), scale_(scale_of(timeline)), turns_(schedule.rank_of_stage.size()) {
    for (int pp_rank = 0; pp_rank < schedule.num_ranks(); ++pp_rank) {
      const std::vector<int> stages = stages_of_rank(schedule.rank_of_stage, pp_rank);
      num_turns_ = std::max(num_turns_, static_cast<int>(stages.size()));
      for (int turn = 0; turn < std::ssize(stages); ++turn) turns_[stages[turn]] = turn;
    }
  }

  std::string draw(const std::string& name) {
    const double width = kLabelWidth + plot_width() + kNoteWidth;
    const double height = lanes_end() + kAxisHeight;
    write(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0:.0f}\" height=\"{1:.0f}\" viewBox=\"0 0 {0:.0f} "
        "{1:.0f}\" "
        "font-family=\"Helvetica, Arial, sans-serif\" font-size=\"12\" fill=\"#222\">\n"
        "<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n",
        width, height);
    draw_title(name);
    draw_legend();
    for (int pp_rank = 0; pp_rank < schedule_.num_ranks(); ++pp_rank) draw_lane(pp_rank);
    draw_axis();
    svg_ += "</svg>\n";
    return std::move(svg_);
  }

 private:
  template <class... Args>
  void write(fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(svg_), format, std::forward<Args>(args)...);
  }

  [[nodiscard]] double plot_width() const { return std::max(kLeastPlotWidth, timeline_.span * scale_); }
  [[nodiscard]] double x_of(double time) const { return kLabelWidth + (time - timeline_.begin) * scale_; }
  [[nodiscard]] double lanes_end() const { return kTop + schedule_.num_ranks() * (kLaneHeight + kLaneGap); }

  void draw_title(const std::string& name) {
    write("<text x=\"{}\" y=\"26\" font-size=\"16\" font-weight=\"bold\">{}{}bubble {:.1f} %</text>\n", kLabelWidth,
          escape(name), name.empty() ? "" : ": ", 100 * timeline_.bubble);
    write("<text x=\"{}\" y=\"44\" fill=\"#666\">{} ranks, {} stages, {} microbatches, span {:.6g}</text>\n",
          kLabelWidth, schedule_.num_ranks(), schedule_.num_stages(), schedule_.num_microbatches, timeline_.span);
  }

  [[nodiscard]] bool has(ActionKind kind) const {
    return std::ranges::any_of(schedule_.actions, [&](const std::vector<Action>& actions) {
      return std::ranges::find(actions, kind, &Action::kind) != actions.end();
    });
  }

  /// A swatch for each of a rank's stages, then the word.
  void draw_legend() {
    double x = kLabelWidth;
    for (const Style& style : kStyles) {
      if (!has(style.kind)) continue;
      for (int turn = 0; turn < num_turns_; ++turn, x += 14) {
        write("<rect x=\"{:.1f}\" y=\"56\" width=\"14\" height=\"14\" fill=\"{}\"/>\n", x,
              fill_of(style.kind, turn, num_turns_));
      }
      write("<text x=\"{:.1f}\" y=\"67\">{}</text>\n", x + 5, style.legend);
      x += 24 + kDigitWidth * static_cast<double>(style.legend.size());
    }
    if (num_turns_ > 1) write("<text x=\"{:.1f}\" y=\"67\" fill=\"#666\">paler: a rank's later stages</text>\n", x);
  }

  void draw_lane(int pp_rank) {
    const double y = kTop + pp_rank * (kLaneHeight + kLaneGap);
    const double middle = y + kLaneHeight / 2 + 4;
    write("<text x=\"{}\" y=\"{:.1f}\" text-anchor=\"end\">rank {}</text>\n", kLabelWidth - 8, middle, pp_rank);
    write("<rect x=\"{}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{}\" fill=\"#f1f1f3\"/>\n", kLabelWidth, y,
          plot_width(), kLaneHeight);
    for (const TimedAction& timed : timeline_.actions[pp_rank]) {
      if (is_compute(timed.action.kind)) draw_box(timed, y);
    }
    const double busy = timeline_.span > 0 ? 100 * timeline_.busy[pp_rank] / timeline_.span : 0;
    write("<text x=\"{:.1f}\" y=\"{:.1f}\" fill=\"#666\">{:.0f} % busy, holds {}</text>\n",
          kLabelWidth + plot_width() + 10, middle, busy, timeline_.peak_live_activations[pp_rank]);
  }

  /// The number is left out where it does not fit; pointing at the box says all.
  void draw_box(const TimedAction& timed, double y) {
    const auto [kind, stage, microbatch] = timed.action;
    const double x = x_of(timed.begin);
    const double width = (timed.end - timed.begin) * scale_;
    write("<g><title>{}: {:.6g} to {:.6g}</title>", describe(timed.action), timed.begin, timed.end);
    write("<rect x=\"{:.2f}\" y=\"{:.1f}\" width=\"{:.2f}\" height=\"{}\" fill=\"{}\" stroke=\"#fff\"/>", x, y, width,
          kLaneHeight, fill_of(kind, turns_[stage], num_turns_));
    const std::string number = fmt::to_string(microbatch);
    if (kDigitWidth * static_cast<double>(number.size()) + 4 <= width) {
      write("<text x=\"{:.2f}\" y=\"{:.1f}\" text-anchor=\"middle\">{}</text>", x + width / 2, y + kLaneHeight / 2 + 4,
            number);
    }
    svg_ += "</g>\n";
  }

  void draw_axis() {
    const double y = lanes_end();
    write("<path d=\"M{:.1f} {:.1f}h{:.1f}\" stroke=\"#888\"/>\n", kLabelWidth, y, plot_width());
    const double tick = tick_of(scale_);
    for (int i = 0; i * tick * scale_ <= plot_width() + 0.5; ++i) {
      const double x = kLabelWidth + i * tick * scale_;
      write(
          "<path d=\"M{0:.1f} {1:.1f}v5\" stroke=\"#888\"/><text x=\"{0:.1f}\" y=\"{2:.1f}\" text-anchor=\"middle\" "
          "fill=\"#666\">{3:.6g}</text>\n",
          x, y, y + 19, i * tick);
    }
    write("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\" fill=\"#666\">time</text>\n",
          kLabelWidth + plot_width() / 2, y + 38);
  }

  const Schedule& schedule_;
  const Timeline& timeline_;
  double scale_;
  std::vector<int> turns_;  ///< [num stages], its place among its rank's stages
  int num_turns_ = 1;
  std::string svg_;
};

}  // namespace

std::string render_svg(const Schedule& schedule, const Timeline& timeline, const std::string& name) {
  check(timeline.actions.size() == schedule.actions.size(), "the timeline is of this schedule");
  return Drawing(schedule, timeline).draw(name);
}

}  // namespace collimate
