// key: the secret by which the members of a file system know each other.
#include <fmt/core.h>
#include <unistd.h>

#include <cstdio>
#include <memory>

#include "ffs/cmd/commands.hpp"
#include "ffs/cmd/session.hpp"
#include "libcommon/base/file.hpp"
#include "libcommon/net/cluster_key.hpp"

namespace ff::ffs {

namespace {

struct Options {
  std::string file;
  bool force = false;
};

// In the place of the key that is there, in one step: no moment has half a key, or none.
Result<> replace_key(const net::ClusterKey& key, const std::string& file) {
  const std::string fresh = fmt::format("{}.new.{}", file, ::getpid());
  FF_TRY(key.create_file(fresh));
  if (::rename(fresh.c_str(), file.c_str()) != 0) {
    Error why = errno_error(file);
    ::unlink(fresh.c_str());
    return fail(std::move(why));
  }
  return fsync_folder(parent_folder(file));
}

Result<int> generate(const Options& o) {
  const net::ClusterKey key = net::ClusterKey::generate();
  const Result<> made = o.force ? replace_key(key, o.file) : key.create_file(o.file);
  if (!made && made.error().code() == Errc::kAlreadyExists) {
    return fail(Errc::kAlreadyExists,
                fmt::format("{}: is there, and stays (members that hold it could not speak with those that get a new "
                            "one; --force replaces it)",
                            o.file));
  }
  FF_TRY(made);
  FF_TRY(print(key.fingerprint() + "\n"));
  return 0;
}

Result<int> show(const Options& o) {
  FF_TRY_ASSIGN(const net::ClusterKey key, net::ClusterKey::load(o.file));
  FF_TRY(print(key.fingerprint() + "\n"));
  return 0;
}

cli::Option file_option(Options& o, std::string help) {
  return {.names = "file",
          .target = &o.file,
          .help = std::move(help),
          .value_name = "FILE",
          .required = true,
          .complete = "file"};
}

cli::Command generate_command() {
  const auto options = std::make_shared<Options>();
  cli::Command command;
  command.name = "generate";
  command.summary = "Make a new key";
  command.description =
      "Writes a new file that its owner alone can read, and prints the key's fingerprint. Every machine and client of "
      "the file system gets a copy; who has it is a member.";
  command.options = {file_option(*options, "the file to make"),
                     {.names = "--force", .target = &options->force, .help = "replace the key that is there"}};
  command.examples = {{"ffs key generate /etc/fire-flyer/cluster.key", "before the first ffs format of a site"}};
  command.run = [options]() -> Result<int> { return generate(*options); };
  return command;
}

cli::Command show_command() {
  const auto options = std::make_shared<Options>();
  cli::Command command;
  command.name = "show";
  command.summary = "Print a key's fingerprint, never the key";
  command.description =
      "Equal fingerprints on two machines: they hold the same key. Fails for a file that is no key, or that others may "
      "read.";
  command.options = {file_option(*options, "the key file")};
  command.examples = {{"ffs key show /etc/fire-flyer/cluster.key", "do two machines hold the same?"}};
  command.run = [options]() -> Result<int> { return show(*options); };
  return command;
}

}  // namespace

cli::Command key_command() {
  cli::Command command;
  command.name = "key";
  command.summary = "Make and compare the secrets that members share";
  command.examples = {
      {"ffs key generate cluster.key && ffs key show cluster.key", "a new key, and its fingerprint again"}};
  command.commands = {generate_command(), show_command()};
  return command;
}

}  // namespace ff::ffs
