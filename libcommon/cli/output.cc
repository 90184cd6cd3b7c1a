#include "libcommon/cli/output.hpp"

namespace ff::cli {

void OutputOptions::add_to(Command& command) {
  command.options.push_back(
      {.names = "-o,--output", .target = &name_, .help = "output format", .value_name = "FORMAT", .choices = allowed_});
  command.options.push_back({.names = "--json", .target = &json_, .help = "same as -o json"});
}

Result<report::Format> OutputOptions::format() const {
  if (!json_) return report::parse_format(name_);
  if (name_ != otherwise_ && name_ != "json")
    return fail(Errc::kInvalidArgument, "--json contradicts -o " + name_ + " (give one of them)");
  return report::Format::kJson;
}

}  // namespace ff::cli
