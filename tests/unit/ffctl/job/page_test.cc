// The manual page of job files says what the reader does: its keys are the schema's, its examples are read.
#include <gtest/gtest.h>

#include "ffctl/job/expand.hpp"
#include "ffctl/job/schema.hpp"
#include "ffctl/job/spec.hpp"
#include "libcommon/base/file.hpp"
#include "libcommon/config/describe.hpp"

namespace ff::ctl {
namespace {

std::string page() {
  const auto text = read_file(FF_JOB_PAGE, 1u << 20);
  EXPECT_TRUE(text);
  return *text;
}

// What describe_schema() says, but for variables that set keys of programs.
std::string keys() {
  std::string text = config::describe_schema(job_schema());
  for (std::size_t at = 0; (at = text.find(" Environment: *", at)) != std::string::npos;)
    text.erase(at, text.find('\n', at) - at);
  return text;
}

TEST(JobPage, HasTheKeysOfTheSchema) {
  const std::string text = page();
  const std::size_t begin = text.find("# KEYS\n\n") + 8, end = text.find("# EXAMPLES");
  ASSERT_LT(begin, end);
  EXPECT_EQ(text.substr(begin, end - begin), keys()) << "man/ffjob.5.scd, KEYS, should be:\n" << keys();
}

TEST(JobPage, HasExamplesThatAreJobs) {
  const std::string text = page();
  int files = 0, scripts = 0;
  for (std::size_t at = 0; (at = text.find("\n```\n", at)) != std::string::npos;) {
    const std::size_t begin = at + 5, end = text.find("\n```\n", begin);
    ASSERT_NE(end, std::string::npos);
    const std::string example = text.substr(begin, end + 1 - begin);
    at = end + 4;
    config::Config values(job_schema());
    const auto read = is_script(example) ? read_script(values, example, "f") : read_job_text(values, example, "f");
    ASSERT_TRUE(read) << read.error().message() << "\n" << example;
    const auto spec = resolve_job(values, {.folder = "/ws", .now_ms = 1'800'000'000'000});
    ASSERT_TRUE(spec) << spec.error().message() << "\n" << example;
    const auto jobs = expand_job(
        *spec,
        {.array = values.get<std::string>("array.index"), .sweep = values.get<config::TextMap>("sweep"), .lines = {}});
    ASSERT_TRUE(jobs) << jobs.error().message() << "\n" << example;
    ++(is_script(example) ? scripts : files);
  }
  EXPECT_GE(files, 6);
  EXPECT_GE(scripts, 1);
}

}  // namespace
}  // namespace ff::ctl
