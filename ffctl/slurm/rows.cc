#include "ffctl/slurm/rows.hpp"

#include <fmt/core.h>

namespace ff::ctl {

// Not a digit or a point first: Slurm would take those for a width.
std::string row_separator(std::uint64_t random) { return fmt::format("~{:016x}~", random); }

std::string row_format(const std::vector<std::string>& fields, const std::string& separator) {
  std::string out;
  for (const std::string& field : fields) out += (out.empty() ? "" : ",") + field + ":" + separator;
  return out;
}

Result<std::vector<Row>> read_rows(std::string_view text, const std::string& separator, std::size_t fields) {
  std::vector<Row> rows;
  while (!text.empty() && text != "\n") {
    if (!rows.empty()) {
      if (text.front() != '\n')
        return fail(Errc::kCorrupt, fmt::format("row {}: has more than its fields", rows.size()));
      text.remove_prefix(1);
    }
    Row row;
    for (std::size_t i = 0; i < fields; ++i) {
      const std::size_t end = text.find(separator);
      if (end == std::string_view::npos)
        return fail(Errc::kCorrupt, fmt::format("row {}: has {} of {} fields", rows.size() + 1, i, fields));
      row.emplace_back(text.substr(0, end));
      text.remove_prefix(end + separator.size());
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace ff::ctl
