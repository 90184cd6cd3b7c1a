// host: what `ffctl up -f` and `ffctl down -f` run on each host, through ssh.
#include "ffctl/cluster/host_work.hpp"
#include "ffctl/cmd/commands.hpp"
#include "ffctl/cmd/master_session.hpp"
#include "libcommon/base/file.hpp"

namespace ff::ctl {

namespace {

constexpr std::size_t kWorkBytesMax = 1u << 20;

Result<int> host() {
  FF_TRY_ASSIGN(const std::string text, read_file("-", kWorkBytesMax));
  FF_TRY_ASSIGN(const HostWork work, parse_host_work(text));
  FF_TRY_ASSIGN(const std::vector<HostDaemon> done, do_host_work(work));
  FF_TRY(print(host_reply_text(done)));
  return cli::kExitOk;
}

}  // namespace

cli::Command host_command() {
  cli::Command command;
  command.name = "host";
  command.summary = "Do on this host what ffctl up -f or down -f asks for";
  command.description =
      "They run it through ssh. What to do comes as JSON on standard input, the cluster's key with it, so that no "
      "command line shows it; what was done goes to standard output.";
  command.examples = {{"ssh n1 ffctl host <work.json", "as ffctl up -f does"}};
  command.run = []() -> Result<int> { return host(); };
  return command;
}

}  // namespace ff::ctl
