// Words for bash, rows of Slurm's output, comments and lists of nodes: what others write comes back as they wrote it,
// or is refused; never as something else.
#include <gtest/gtest.h>

#include <cstdlib>
#include <random>

#include "ffctl/slurm/comment.hpp"
#include "ffctl/slurm/errors.hpp"
#include "ffctl/slurm/host_list.hpp"
#include "ffctl/slurm/quoting.hpp"
#include "ffctl/slurm/rows.hpp"

namespace ff::ctl {
namespace {

std::string random_text(std::mt19937& random, std::size_t longest, bool zero) {
  std::string out(random() % (longest + 1), ' ');
  for (char& c : out) {
    c = static_cast<char>(random() % 4 == 0 ? "\n\r'\"\\$`|~ #"[random() % 11] : static_cast<char>(random() % 256));
    if (c == '\0' && !zero) c = 'x';
  }
  return out;
}

TEST(BashWord, ComesBackFromBashAsItWas) {
  std::mt19937 random(7);
  for (int round = 0; round < 8; ++round) {
    std::vector<std::string> words = {"", "'", "a b", "\n#SBATCH --uid=0\n", "$(touch x)", "-n", "\\", "é", "\xff\x01"};
    for (int i = 0; i < 20; ++i) words.push_back(random_text(random, 40, false));
    std::string script, expected;
    for (const std::string& word : words) {
      script += " " + bash_word(word);
      expected += word + '|';
    }
    for (const char c : script) ASSERT_TRUE(c >= ' ' && c <= '~') << int{c};
    const ChildStart start{.words = {"bash", "-s"},
                           .environment = {"PATH=/usr/bin:/bin", "LC_ALL=C"},
                           .input = "printf '%s|'" + script + "\n"};
    const auto end = run_child(start);
    ASSERT_TRUE(end) << end.error().message();
    EXPECT_EQ(end->output, expected);
  }
}

TEST(Rows, HoldWhateverFieldsAreGiven) {
  std::mt19937 random(11);
  for (int round = 0; round < 200; ++round) {
    const std::string separator = row_separator(random());
    std::vector<Row> rows(random() % 5);
    std::string text;
    for (Row& row : rows) {
      row = {std::to_string(random()), random_text(random, 20, true), random_text(random, 20, true)};
      for (const std::string& field : row) text += field + separator;
      text += '\n';
    }
    const auto read = read_rows(text, separator, 3);
    ASSERT_TRUE(read) << read.error().message();
    EXPECT_EQ(*read, rows);
  }
}

TEST(Rows, RefuseWhatIsCutOrTooMuch) {
  const std::string separator = row_separator(1);
  EXPECT_FALSE(read_rows("1" + separator + "a", separator, 2));
  EXPECT_FALSE(read_rows("1" + separator + "a" + separator + "b" + separator + "\n", separator, 2));
  EXPECT_FALSE(read_rows("slurm_load_jobs error\n", separator, 2));
  EXPECT_EQ(read_rows("", separator, 2)->size(), 0);
  EXPECT_EQ(row_format({"JobID", "Name"}, "~x~"), "JobID:~x~,Name:~x~");
  // A width would begin with a digit or a point.
  EXPECT_EQ(separator[0], '~');
}

TEST(Comment, KeepsWhatSlurmHasNoPlaceFor) {
  JobSpec spec;
  spec.set_priority(HIGH);
  (*spec.mutable_labels())["project"] = "a=b|c\n";
  spec.set_checkpoint("/tmp/run");
  spec.mutable_run()->set_launcher(PER_RANK);
  spec.mutable_run()->set_ranks_per_node(4);
  for (const char* word : {"python", "train.py", "--lr=1"}) spec.mutable_run()->add_command(word);
  const auto comment = encode_comment(spec);
  ASSERT_TRUE(comment);
  for (const char c : *comment) ASSERT_TRUE(c > ' ' && c <= '~');
  const auto back = decode_comment(*comment);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->labels().at("project"), "a=b|c\n");
  EXPECT_EQ(back->run().command_size(), 3);
  EXPECT_EQ(back->priority(), HIGH);
}

TEST(Comment, LeavesOutWordsThatDoNotFitAndRefusesLabelsThatDoNot) {
  JobSpec spec;
  spec.mutable_run()->add_command("python");
  spec.mutable_run()->add_command(std::string(1 << 20, 'x'));
  const auto comment = encode_comment(spec);
  ASSERT_TRUE(comment);
  EXPECT_LE(comment->size(), kCommentBytesMax);
  EXPECT_EQ(decode_comment(*comment)->run().command_size(), 1);
  (*spec.mutable_labels())["long"] = std::string(800, 'x');
  EXPECT_EQ(encode_comment(spec).error().code(), Errc::kInvalidArgument);
}

TEST(Comment, OfOthersIsNone) {
  for (const char* text : {"", "(null)", "ffctl:1:!", "ffctl:1:____", "see ticket", "ffctl:2:AAAA"})
    EXPECT_FALSE(decode_comment(text)) << text;
  std::mt19937 random(3);
  for (int round = 0; round < 2000; ++round) (void)decode_comment("ffctl:1:" + random_text(random, 60, true));
}

TEST(Hosts, AreExpanded) {
  using Names = std::vector<std::string>;
  EXPECT_EQ(*expand_hosts("n[1-2]"), (Names{"n1", "n2"}));
  EXPECT_EQ(*expand_hosts("gpu[008-010,12],login"), (Names{"gpu008", "gpu009", "gpu010", "gpu12", "login"}));
  EXPECT_EQ(*expand_hosts("r[1-2]n[0-1]x"), (Names{"r1n0x", "r1n1x", "r2n0x", "r2n1x"}));
  EXPECT_TRUE(expand_hosts("")->empty());
}

TEST(Hosts, RefuseWhatIsNoList) {
  for (const char* text : {"n[", "n]", "n[1", "n[a]", "n[2-1]", "n[1-]", ",", "a,,b", "n[1-2", "n[]", "n[1,]"})
    EXPECT_FALSE(expand_hosts(text)) << text;
  EXPECT_EQ(expand_hosts("n[0-999999999]").error().code(), Errc::kExhausted);
  EXPECT_EQ(expand_hosts("n[0-999]x[0-999]").error().code(), Errc::kExhausted);
  std::mt19937 random(5);
  for (int round = 0; round < 5000; ++round) {
    std::string text(random() % 12, ' ');
    for (char& c : text) c = "n[]-,019"[random() % 8];
    (void)expand_hosts(text);
  }
}

TEST(SlurmError, SaysWhatSlurmSaidOnceAndWhatToDo) {
  const ChildEnd end{.code = 1,
                     .output = {},
                     .errors =
                         "sbatch: error: invalid partition specified: zz\n"
                         "sbatch: error: Batch job submission failed: Invalid partition name specified\n"};
  EXPECT_EQ(slurm_error("sbatch", end).message(),
            "sbatch: invalid partition specified: zz; Invalid partition name specified");
  EXPECT_EQ(slurm_error("sbatch", end).code(), Errc::kInvalidArgument);
  const auto code = [](const char* text) {
    return slurm_error("squeue", {.code = 1, .output = {}, .errors = text}).code();
  };
  EXPECT_EQ(code("slurm_load_jobs error: Unable to contact slurm controller (connect failure)"), Errc::kUnavailable);
  EXPECT_EQ(code("sbatch: error: Batch job submission failed: Node count specification invalid"), Errc::kUnsupported);
  EXPECT_EQ(code("slurm_update error: Access/permission denied"), Errc::kPermission);
  EXPECT_EQ(code(""), Errc::kIo);
}

}  // namespace
}  // namespace ff::ctl
