// `hfreduce allreduce`: the same across ranks. Before data moves, all ranks exchange what they are about to do, so that
// a rank that cannot open its file, or brings another shape, ends all of them with its name instead of a wait.
#include <fmt/core.h>

#include <algorithm>
#include <cstring>
#include <memory>

#include "hfreduce/cmd/array_file.hpp"
#include "hfreduce/cmd/commands.hpp"
#include "hfreduce/communicator.hpp"
#include "libcommon/base/byte_size.hpp"

namespace ff::hfreduce::cmd {
namespace {

// A rank that fails tells the others in this many bytes.
constexpr std::size_t kCardBytes = 1024;
constexpr std::uint64_t kUnknownBytes = ~std::uint64_t{0};

struct Options {
  std::string op = "sum";
  std::string type;
  std::string input;
  std::string output;
  std::int64_t root = -1;
  bool raw = false;
  bool force = false;
  cli::ByteSize piece{16 * kMiB};
  cli::Duration timeout = std::chrono::seconds(60);
};

std::string for_rank(std::string text, int rank) {
  constexpr std::string_view kMark = "{rank}";
  const std::string number = std::to_string(rank);
  for (auto at = text.find(kMark); at != std::string::npos; at = text.find(kMark, at + number.size()))
    text.replace(at, kMark.size(), number);
  return text;
}

// What a rank brings. All ranks see all cards.
struct Card {
  std::uint64_t bytes = kUnknownBytes;
  std::int32_t type = -1;
  std::int32_t is_npy = 0;
  std::int32_t failed = 0;
  std::int32_t fortran_order = 0;
  std::uint64_t shape_hash = 0;
  std::uint64_t output_hash = 0;    // 0: writes nothing, or to standard output
  char text[kCardBytes - 40] = {};  // the failure
};
static_assert(sizeof(Card) == kCardBytes);

std::uint64_t hash_of(std::string_view text) {  // FNV-1a: equal on all machines
  std::uint64_t hash = 14695981039346656037ull;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ull;
  return hash == 0 ? 1 : hash;
}

class AllReduce {
 public:
  AllReduce(const Options& options, Communicator& comm) : options_(options), comm_(comm) {}
  Result<int> run();

 private:
  Result<> open();
  Result<std::vector<Card>> exchange(const Result<>& opened);
  Result<> check(const std::vector<Card>& cards) const;
  Result<> reduce_pieces();
  Result<> agree_on(std::uint64_t bytes, std::uint64_t done);
  std::string who(int rank) const {
    return fmt::format("rank {} ({})", rank, comm_.ranks()[static_cast<std::size_t>(rank)].host);
  }

  const Options& options_;
  Communicator& comm_;
  ReduceOp op_ = ReduceOp::kSum;
  DType type_ = DType::kFloat32;
  std::optional<ArraySource> source_;
  std::optional<ArraySink> sink_;
  std::string output_;  // empty: this rank writes nothing
};

Result<> AllReduce::open() {
  std::optional<DType> wanted;
  if (!options_.type.empty()) {
    FF_TRY_ASSIGN(wanted, parse_dtype(options_.type));
  }
  FF_TRY_ASSIGN(op_, parse_op(options_.op));
  FF_TRY_ASSIGN(source_, ArraySource::open(for_rank(options_.input, comm_.rank()), options_.raw));
  FF_TRY_ASSIGN(type_, source_->element_type(wanted));
  if (options_.root >= comm_.size())
    return fail(Errc::kInvalidArgument, fmt::format("--root {}: there are {} ranks", options_.root, comm_.size()));
  if (options_.root < 0 || options_.root == comm_.rank()) output_ = for_rank(options_.output, comm_.rank());
  // Only a look: the file is created when it is known which rank writes it.
  if (!output_.empty()) FF_TRY(ArraySink::check(output_, options_.force));
  return {};
}

Result<std::vector<Card>> AllReduce::exchange(const Result<>& opened) {
  Card mine;
  if (opened) {
    mine.bytes = source_->bytes().value_or(kUnknownBytes);
    mine.type = static_cast<std::int32_t>(type_);
    if (const auto& header = source_->header(); header) {
      mine.is_npy = 1;
      mine.fortran_order = header->fortran_order ? 1 : 0;
      std::string shape;
      for (const std::uint64_t extent : header->shape) shape += fmt::format("{},", extent);
      mine.shape_hash = hash_of(shape);
    }
    const RankInfo& me = comm_.ranks()[static_cast<std::size_t>(comm_.rank())];
    if (!output_.empty() && output_ != "-") mine.output_hash = hash_of(me.host_id + '\n' + output_);
  } else {
    mine.failed = 1;
    const std::string& text = opened.error().message();
    std::memcpy(mine.text, text.data(), std::min(text.size(), sizeof mine.text - 1));
  }
  std::vector<Card> cards(static_cast<std::size_t>(comm_.size()));
  FF_TRY(comm_.all_gather(&mine, cards.data(), sizeof mine, DType::kUint8));
  return cards;
}

Result<> AllReduce::check(const std::vector<Card>& cards) const {
  for (int rank = 0; rank < comm_.size(); ++rank) {
    const Card& card = cards[static_cast<std::size_t>(rank)];
    if (card.failed != 0) return fail(Errc::kIo, fmt::format("{}: {}", who(rank), std::string_view(card.text)));
  }
  const Card& first = cards[0];
  for (int rank = 1; rank < comm_.size(); ++rank) {
    const Card& card = cards[static_cast<std::size_t>(rank)];
    std::string_view what;
    if (card.type != first.type) what = "another type";
    if (card.is_npy != first.is_npy) what = "another file format";
    if (card.shape_hash != first.shape_hash || card.fortran_order != first.fortran_order)
      what = "another shape or order";
    if (card.bytes != first.bytes && card.bytes != kUnknownBytes && first.bytes != kUnknownBytes) what = "another size";
    if (!what.empty())
      return fail(Errc::kCorrupt, fmt::format("{}: its input has {} than that of {}", who(rank), what, who(0)));
  }
  return {};
}

// Sizes of pipes are only known as they end: every piece's length is compared before it is reduced.
Result<> AllReduce::agree_on(std::uint64_t bytes, std::uint64_t done) {
  const auto mine = static_cast<std::int64_t>(bytes);
  std::vector<std::int64_t> all(static_cast<std::size_t>(comm_.size()));
  FF_TRY(comm_.all_gather(&mine, all.data(), 1, DType::kInt64));
  const auto shortest = std::ranges::min_element(all);
  if (*shortest < 0)
    return fail(Errc::kIo, fmt::format("{}: could not go on", who(static_cast<int>(shortest - all.begin()))));
  if (*shortest != std::ranges::max(all))
    return fail(Errc::kCorrupt, fmt::format("{}: its input ends after {} bytes, others go on",
                                            who(static_cast<int>(shortest - all.begin())),
                                            done + static_cast<std::uint64_t>(*shortest)));
  return {};
}

Result<> AllReduce::reduce_pieces() {
  const std::size_t element = dtype_size(type_);
  const std::size_t piece = std::max<std::size_t>(options_.piece.bytes / 64 * 64, 64);
  FF_TRY_ASSIGN(void* const buffer, comm_.alloc(piece));
  std::uint64_t done = 0;
  Result<> local;
  for (;;) {
    std::size_t bytes = 0;
    if (local) {
      auto read = source_->read({static_cast<std::byte*>(buffer), piece});
      if (read && *read % element != 0)
        local = fail(Errc::kInvalidArgument, fmt::format("{}: {} bytes are no whole number of {} elements",
                                                         source_->name(), done + *read, dtype_name(type_)));
      else if (!read)
        local = fail(read.error());
      else
        bytes = *read;
    }
    // A rank with trouble of its own says so in place of a length, and reports its own reason.
    const Result<> agreed = agree_on(local ? bytes : static_cast<std::uint64_t>(-1), done);
    if (!local) return local;
    FF_TRY(agreed);
    if (bytes > 0) FF_TRY(comm_.all_reduce(buffer, buffer, bytes / element, type_, op_));
    if (bytes > 0 && sink_) local = sink_->write({static_cast<const std::byte*>(buffer), bytes});
    done += bytes;
    if (bytes < piece) break;
  }
  if (local && sink_) local = sink_->commit();
  const Result<> all_written = agree_on(local ? 0 : static_cast<std::uint64_t>(-1), done);
  FF_TRY(local);
  FF_TRY(all_written);
  return comm_.free(buffer);
}

Result<int> AllReduce::run() {
  const Result<> opened = open();
  FF_TRY_ASSIGN(const std::vector<Card> cards, exchange(opened));
  if (!opened) return fail(opened.error());
  FF_TRY(check(cards));
  // Ranks of one host that name the same file: the lowest writes it.
  const auto rank = static_cast<std::size_t>(comm_.rank());
  bool writes = !output_.empty();
  for (std::size_t lower = 0; lower < rank; ++lower)
    if (cards[rank].output_hash != 0 && cards[lower].output_hash == cards[rank].output_hash) writes = false;
  Result<> ready;
  if (writes) {
    auto sink = ArraySink::create(output_, options_.force);
    if (sink) {
      sink_.emplace(std::move(*sink));
      if (source_->header()) {
        const std::string front = npy::format(*source_->header());
        ready = sink_->write(std::as_bytes(std::span(front)));
      }
    } else {
      ready = fail(sink.error());
    }
  }
  const Result<> agreed = agree_on(ready ? 0 : static_cast<std::uint64_t>(-1), 0);
  FF_TRY(ready);
  FF_TRY(agreed);
  FF_TRY(reduce_pieces());
  return cli::kExitOk;
}

Result<int> run_allreduce(const Options& options) {
  FF_TRY_ASSIGN(Config config, Config::from_environment());
  config.timeout = options.timeout;  // --timeout, else HFR_TIMEOUT, else the default
  FF_TRY_ASSIGN(const std::unique_ptr<Communicator> comm, Communicator::from_environment(config));
  return AllReduce(options, *comm).run();
}

}  // namespace

cli::Command allreduce_command() {
  auto options = std::make_shared<Options>();
  Options& o = *options;
  cli::Command command;
  command.name = "allreduce";
  command.summary = "Combine one file of each rank, and give every rank the result";
  command.description =
      "Run it in every rank: under hfreduce run, torchrun or a job. Each rank reads its file (or standard input) in "
      "pieces, "
      "and the ranks that have --output write the result. Ranks of one host that name the same file write it once.";
  command.options = {
      {.names = "input",
       .target = &o.input,
       .help = "File of this rank; {rank} is replaced, - is standard input",
       .value_name = "FILE",
       .required = true,
       .complete = "file"},
      {.names = "--op",
       .target = &o.op,
       .help = "How elements combine",
       .choices = {"sum", "avg", "min", "max", "prod"}},
      {.names = "-d,--type",
       .target = &o.type,
       .help = "What the elements are: float, bf16, fp8_e4m3, ...; .npy files say it themselves",
       .value_name = "TYPE"},
      {.names = "-o,--output",
       .target = &o.output,
       .help = "File to write; {rank} is replaced, - is standard output; empty: none",
       .value_name = "FILE",
       .complete = "file"},
      {.names = "-r,--root",
       .target = &o.root,
       .help = "Only this rank writes; -1: every rank that has --output",
       .value_name = "RANK",
       .min = -1},
      {.names = "--raw", .target = &o.raw, .help = "Take the input as raw elements, whatever it begins with"},
      {.names = "-f,--force", .target = &o.force, .help = "Replace the output if it exists"},
      {.names = "--piece",
       .target = &o.piece,
       .help = "How much is read and combined at a time",
       .min = 64,
       .max = 1ull << 40},
      {.names = "-T,--timeout",
       .target = &o.timeout,
       .help = "How long to wait for the other ranks in each step",
       .min = 1e-9,
       .environment = "HFR_TIMEOUT"},
  };
  command.examples = {
      {"hfreduce run -n 4 -- hfreduce allreduce grad.{rank}.npy -o sum.npy", "sum four arrays on this machine"},
      {"hfreduce run --hosts a,b -- hfreduce allreduce --type bf16 /scratch/g.bin -o /scratch/sum.bin",
       "across hosts"}};
  command.run = [options] { return run_allreduce(*options); };
  return command;
}

}  // namespace ff::hfreduce::cmd
