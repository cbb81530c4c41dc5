#include "collimate/pipeline/render.hpp"

#include <cctype>
#include <string_view>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/schedules.hpp"

namespace collimate {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

std::string picture(const ScheduleOptions& options, const std::string& name = "") {
  const Schedule schedule = lowered_schedule(options);
  return render_svg(schedule, simulate(schedule, even_costs(schedule.num_stages())), name);
}

int count(std::string_view text, std::string_view part) {
  int found = 0;
  for (auto at = text.find(part); at != std::string_view::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

/// The fault of one tag's inside, such as `rect x="1" y="2"/`: attributes in quotes, no < and no bare &.
std::string fault_of_attributes(std::string_view rest) {
  while (!rest.empty() && rest != "/") {
    const auto quote = rest.find("=\"");
    const auto end = quote == std::string_view::npos ? quote : rest.find('"', quote + 2);
    if (rest.front() != ' ' || end == std::string_view::npos) return "an attribute without quotes";
    rest.remove_prefix(end + 1);
  }
  return "";
}

bool has_bare_ampersand(std::string_view text) {
  for (auto at = text.find('&'); at != std::string_view::npos; at = text.find('&', at + 1)) {
    const std::string_view rest = text.substr(at);
    if (!rest.starts_with("&amp;") && !rest.starts_with("&lt;") && !rest.starts_with("&gt;") &&
        !rest.starts_with("&quot;")) {
      return true;
    }
  }
  return false;
}

/// What keeps `text` from being well-formed XML of the plain kind that we write: nested tags, attributes, entities.
std::string fault_of_xml(std::string_view text) {
  std::vector<std::string_view> open;
  if (has_bare_ampersand(text)) return "a bare ampersand";
  for (auto at = text.find('<'); at != std::string_view::npos; at = text.find('<', at + 1)) {
    const auto end = text.find('>', at);
    if (end == std::string_view::npos || text.find('<', at + 1) < end) return "a bare less-than sign";
    const std::string_view tag = text.substr(at + 1, end - at - 1);
    if (tag.starts_with('/')) {
      if (open.empty() || open.back() != tag.substr(1)) return "a tag closed that is not open";
      open.pop_back();
      if (open.empty() && text.substr(end + 1) != "\n") return "something behind the end";
      continue;
    }
    const auto name_end = std::min(tag.find_first_of(" /"), tag.size());
    if (const auto fault = fault_of_attributes(tag.substr(name_end)); !fault.empty()) return fault;
    if (!tag.ends_with('/')) open.push_back(tag.substr(0, name_end));
  }
  return open.empty() ? "" : "a tag left open";
}

TEST(RenderSvgTest, is_well_formed_for_every_type) {
  for (const ScheduleType type : kAllScheduleTypes) {
    for (const int m : {0, 1, 12}) {
      EXPECT_EQ(fault_of_xml(picture({type, 4, virtual_stages_for(type, 3), m}, "a < b & \"c\" > d")), "");
    }
  }
}

TEST(RenderSvgTest, the_check_of_the_test_finds_faults) {
  EXPECT_EQ(fault_of_xml("<a b=\"1\"><c/>x &amp; y</a>\n"), "");
  for (const auto* text : {"<a>", "<a></b>\n", "<a b=1></a>\n", "<a>&</a>\n", "<a>1 < 2</a>\n", "<a></a>b\n"}) {
    EXPECT_NE(fault_of_xml(text), "") << text;
  }
}

TEST(RenderSvgTest, has_a_box_for_each_compute_action) {
  const std::string svg = picture({ScheduleType::kZbH1, 3, 1, 5});
  EXPECT_EQ(count(svg, "<title>forward of stage"), 3 * 5);
  EXPECT_EQ(count(svg, "<title>input gradient of stage"), 3 * 5);
  EXPECT_EQ(count(svg, "<title>weight gradient of stage"), 3 * 5);
  EXPECT_THAT(svg, HasSubstr("<title>input gradient of stage 2, microbatch 0: 3 to 4</title>"));
}

TEST(RenderSvgTest, the_title_has_the_name_escaped_and_the_bubble) {
  EXPECT_THAT(picture({ScheduleType::k1f1b, 2, 1, 4}, "a<b>&\"c\"\x01"),
              HasSubstr(">a&lt;b&gt;&amp;&quot;c&quot; : bubble 25.0 %</text>"));
  EXPECT_THAT(picture({ScheduleType::k1f1b, 2, 1, 4}), HasSubstr(">bubble 25.0 %</text>"));
}

TEST(RenderSvgTest, the_legend_names_the_kinds_that_occur) {
  EXPECT_THAT(picture({ScheduleType::k1f1b, 2, 1, 4}),
              AllOf(HasSubstr(">forward</text>"), HasSubstr(">backward</text>"), Not(HasSubstr("weight gradient")),
                    Not(HasSubstr("paler"))));
  EXPECT_THAT(picture({ScheduleType::kZbv, 2, 2, 4}),
              AllOf(HasSubstr(">weight gradient</text>"), HasSubstr("paler"), Not(HasSubstr(">backward</text>"))));
}

TEST(RenderSvgTest, leaves_numbers_out_where_they_do_not_fit) {
  const Schedule schedule = lowered_schedule({ScheduleType::k1f1b, 1, 1, 2});
  const auto numbers = [&](double forward) {
    const StageCosts costs{.forward = {forward}, .input_gradient = {1000}, .weight_gradient = {0}};
    return count(render_svg(schedule, simulate(schedule, costs)), ">1</text>");
  };
  EXPECT_EQ(numbers(1000), 2);
  EXPECT_EQ(numbers(1), 1);
}

TEST(RenderSvgTest, a_long_schedule_stays_within_a_width) {
  const std::string svg = picture({ScheduleType::k1f1b, 4, 1, 1000});
  const auto at = svg.find("width=\"") + 7;
  EXPECT_LT(std::stoi(svg.substr(at)), 3300);
}

}  // namespace
}  // namespace collimate
