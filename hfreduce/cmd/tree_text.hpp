// The double binary tree over a number of hosts, as text and as JSON (ff.trees/1). Pure.
#pragma once

#include <string>
#include <string_view>

#include "libcommon/base/result.hpp"

namespace ff::hfreduce::cmd {

struct Shape {
  int hosts = 1;
  int ranks_per_host = 1;
};

// "4x8": four hosts with eight ranks each; "4": one rank each. kInvalidArgument otherwise.
Result<Shape> parse_shape(std::string_view text);

// Both trees, drawn from the root down, children indented below their parent.
std::string trees_text(const Shape& shape);
std::string trees_json(const Shape& shape);

}  // namespace ff::hfreduce::cmd
