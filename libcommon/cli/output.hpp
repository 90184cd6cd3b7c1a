// The options -o/--output and --json, the same in every command that prints a report.
#pragma once

#include <string>
#include <vector>

#include "libcommon/cli/app.hpp"
#include "libcommon/report/table.hpp"

namespace ff::cli {

// A command holds one of these, which must outlive run().
//   OutputOptions output;
//   output.add_to(command);
//   ... in its run function: FF_TRY_ASSIGN(const auto format, output.format());
class OutputOptions {
 public:
  // `otherwise` is the format when no option asks for one; `allowed` are those that the command can print, json among
  // them.
  explicit OutputOptions(std::string otherwise = "table", std::vector<std::string> allowed = report::format_names())
      : name_(otherwise), otherwise_(std::move(otherwise)), allowed_(std::move(allowed)) {}
  OutputOptions(const OutputOptions&) = delete;
  OutputOptions& operator=(const OutputOptions&) = delete;

  void add_to(Command& command);
  // kInvalidArgument when --json and another -o contradict each other.
  Result<report::Format> format() const;

 private:
  std::string name_;
  std::string otherwise_;
  std::vector<std::string> allowed_;
  bool json_ = false;
};

}  // namespace ff::cli
