#include "ffctl/slurm/quoting.hpp"

#include <fmt/core.h>

#include <algorithm>

namespace ff::ctl {

std::string bash_word(std::string_view text) {
  const auto printable = [](char c) { return c >= ' ' && c <= '~'; };
  const bool plain = std::ranges::all_of(text, printable);
  std::string out = plain ? "'" : "$'";
  for (const char c : text) {
    if (!printable(c)) {
      out += fmt::format("\\{:03o}", static_cast<unsigned char>(c));
    } else if (c == '\'') {
      out += plain ? R"('\'')" : R"(\')";
    } else if (c == '\\' && !plain) {
      out += R"(\\)";
    } else {
      out += c;
    }
  }
  return out + '\'';
}

}  // namespace ff::ctl
