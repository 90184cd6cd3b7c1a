// Every collective on every data path, for several group sizes, types and lengths, bit for bit against a serial
// reference.

#include <algorithm>
#include <numeric>
#include <tuple>

#include "tests/unit/hfreduce/shm/shm_fixture.hpp"

namespace ff::hfreduce::shm_test {
namespace {

// memcmp that may be asked about nothing, wherever that lies.
int compare_bytes(const void* a, const void* b, std::size_t bytes) { return bytes == 0 ? 0 : std::memcmp(a, b, bytes); }

constexpr std::uint64_t kChunk = 1024;  // bytes; small, so that short messages have many chunks

enum class Path { kFlat, kWindow, kStaged, kCma };

Bytes part(const Bytes& whole, std::uint64_t index, std::uint64_t bytes) {
  return {whole.begin() + static_cast<std::ptrdiff_t>(index * bytes),
          whole.begin() + static_cast<std::ptrdiff_t>((index + 1) * bytes)};
}

struct Case {
  Collective kind;
  DType dtype;
  std::uint64_t count;
  int root;
  bool in_place;
};

// What each rank sends and what it must receive (empty: nothing), from op.hpp's definitions.
struct Expected {
  std::vector<Bytes> send, recv;
};
Expected expect(const Case& c, int size, std::uint64_t seed) {
  const auto n = static_cast<std::uint64_t>(size);
  const bool wide =
      c.kind == Collective::kReduceScatter || c.kind == Collective::kAllToAll || c.kind == Collective::kScatter;
  const std::uint64_t bytes = c.count * dtype_size(c.dtype);
  Expected e;
  for (std::uint64_t r = 0; r < n; ++r) e.send.push_back(pattern(c.dtype, wide ? n * c.count : c.count, seed + 31 * r));
  e.recv.resize(n);
  const auto root = static_cast<std::size_t>(c.root);
  Bytes joined;
  for (const Bytes& s : e.send) joined.insert(joined.end(), s.begin(), s.end());
  for (std::uint64_t r = 0; r < n; ++r) {
    switch (c.kind) {
      case Collective::kAllReduce: e.recv[r] = reference_sum(c.dtype, e.send); break;
      case Collective::kReduce:
        if (r == root) e.recv[r] = reference_sum(c.dtype, e.send);
        break;
      case Collective::kBroadcast: e.recv[r] = e.send[root]; break;
      case Collective::kReduceScatter: e.recv[r] = part(reference_sum(c.dtype, e.send), r, bytes); break;
      case Collective::kAllGather: e.recv[r] = joined; break;
      case Collective::kGather:
        if (r == root) e.recv[r] = joined;
        break;
      case Collective::kScatter: e.recv[r] = part(e.send[root], r, bytes); break;
      case Collective::kAllToAll:
        for (std::uint64_t s = 0; s < n; ++s) {
          const Bytes p = part(e.send[s], r, bytes);
          e.recv[r].insert(e.recv[r].end(), p.begin(), p.end());
        }
        break;
      default: break;
    }
  }
  return e;
}

bool can_be_in_place(Collective kind) {
  return kind == Collective::kAllReduce || kind == Collective::kReduce || kind == Collective::kBroadcast ||
         kind == Collective::kAllGather || kind == Collective::kReduceScatter;
}

// One rank's memory for a case: windows or ordinary, with a guard behind what may be written.
struct Memory {
  Memory(ShmEngine& engine, bool windows, std::uint64_t bytes)
      : engine_(windows ? &engine : nullptr), heap_(windows ? 0 : bytes + 64) {
    if (windows) {
      auto got = engine.alloc(bytes + 64);
      EXPECT_TRUE(got) << got.error().message();
      data = static_cast<std::byte*>(*got);
    } else {
      data = heap_.data();
    }
    std::memset(data, 0xee, bytes + 64);
  }
  ~Memory() {
    if (engine_) EXPECT_TRUE(engine_->free(data));
  }
  std::byte* data = nullptr;

 private:
  ShmEngine* engine_;
  Bytes heap_;
};

void run_case(ShmEngine& engine, int rank, int size, const Case& c, bool windows, std::uint64_t seq) {
  const Expected e = expect(c, size, seq);
  const auto r = static_cast<std::size_t>(rank);
  const std::uint64_t send_bytes = e.send[r].size();
  const std::uint64_t recv_bytes = e.recv[r].size();
  Memory send(engine, windows, std::max<std::uint64_t>(send_bytes, c.in_place ? recv_bytes : 0));
  Memory recv(engine, windows, recv_bytes);
  OpDesc op;
  op.kind = c.kind;
  op.dtype = c.dtype;
  op.root = c.root;
  op.count = c.count;
  op.seq = seq;
  op.deadline = Deadline::after(30s);
  op.send = send.data;
  op.recv = recv.data;
  std::uint64_t send_at = 0;
  if (c.in_place) {
    const std::uint64_t own = r * c.count * dtype_size(c.dtype);
    if (c.kind == Collective::kAllGather) send_at = own;
    op.send = send.data + send_at;
    op.recv = send.data + (c.kind == Collective::kReduceScatter ? own : 0);
  }
  if (send_bytes > 0) std::memcpy(send.data + send_at, e.send[r].data(), send_bytes);
  op.signature = op_signature(op);
  Progress progress;
  const Result<> outcome = engine.run(op, progress);
  ASSERT_TRUE(outcome) << outcome.error().message();
  ASSERT_EQ(progress.waiting_for.load(), -1);
  const auto* got = static_cast<const std::byte*>(op.recv);
  ASSERT_TRUE(std::equal(e.recv[r].begin(), e.recv[r].end(), got))
      << collective_name(c.kind) << " " << dtype_name(c.dtype) << " count " << c.count << " root " << c.root << " rank "
      << rank << " of " << size << (c.in_place ? " in place" : "");
  if (!c.in_place) {
    for (int i = 0; i < 64; ++i) ASSERT_EQ(recv.data[recv_bytes + static_cast<std::uint64_t>(i)], std::byte{0xee});
    ASSERT_EQ(compare_bytes(send.data, e.send[r].data(), send_bytes), 0) << "the input was changed";
  }
}

std::vector<Case> all_cases(int size) {
  std::vector<Case> out;
  const Collective kinds[] = {Collective::kAllReduce,     Collective::kReduce,    Collective::kBroadcast,
                              Collective::kReduceScatter, Collective::kAllGather, Collective::kAllToAll,
                              Collective::kGather,        Collective::kScatter,   Collective::kBarrier};
  for (const Collective kind : kinds) {
    const bool rooted = kind == Collective::kReduce || kind == Collective::kBroadcast || kind == Collective::kGather ||
                        kind == Collective::kScatter;
    for (const DType dtype : {DType::kFloat32, DType::kUint8, DType::kBfloat16}) {
      const std::uint64_t per_chunk = kChunk / dtype_size(dtype);
      for (const std::uint64_t count :
           {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{7}, per_chunk - 1, per_chunk + 1, 9 * per_chunk + 3}) {
        const int root = rooted ? static_cast<int>(count % static_cast<std::uint64_t>(size)) : -1;
        if (kind == Collective::kBarrier && (count != 0 || dtype != DType::kFloat32)) continue;
        out.push_back({kind, dtype, count, root, false});
        if (can_be_in_place(kind)) out.push_back({kind, dtype, count, root, true});
      }
    }
  }
  return out;
}

class Collectives : public testing::TestWithParam<std::tuple<Path, int>> {};

TEST_P(Collectives, GiveTheBitsOfTheSerialReference) {
  const Path path = std::get<0>(GetParam());
  const int size = std::get<1>(GetParam());
  Ranks ranks(size, [path](ShmOptions& o) {
    o.ordinary = path == Path::kCma ? ShmPath::kCma : ShmPath::kStaged;
    o.chunk_bytes = kChunk;
    o.flat_bytes_max = path == Path::kFlat ? 1 << 20 : 1;
  });
  ASSERT_TRUE(ranks.complete());
  EXPECT_EQ(ranks[0].path_for(Collective::kAllReduce, 8192, path == Path::kWindow),
            path == Path::kFlat     ? ShmPath::kFlat
            : path == Path::kWindow ? ShmPath::kWindow
            : path == Path::kCma    ? ShmPath::kCma
                                    : ShmPath::kStaged);
  const std::vector<Case> cases = all_cases(size);
  on_ranks(size, [&](int r) {
    std::uint64_t seq = 0;
    for (const Case& c : cases) {
      run_case(ranks[r], r, size, c, path == Path::kWindow, ++seq);
      if (testing::Test::HasFatalFailure()) return;
    }
  });
}

std::string name_of_case(const testing::TestParamInfo<std::tuple<Path, int>>& info) {
  const char* names[] = {"Flat", "Window", "Staged", "Cma"};
  return std::string(names[static_cast<int>(std::get<0>(info.param))]) + "Ranks" +
         std::to_string(std::get<1>(info.param));
}

INSTANTIATE_TEST_SUITE_P(Paths, Collectives,
                         testing::Combine(testing::Values(Path::kFlat, Path::kWindow, Path::kStaged, Path::kCma),
                                          testing::Values(1, 2, 3, 4, 5, 8)),
                         name_of_case);

// The v-variants, with parts of unequal length of which some are empty.
class VCollectives : public testing::TestWithParam<Path> {};

OpDesc v_op(Collective kind, std::uint64_t seq) {
  OpDesc op;
  op.kind = kind;
  op.dtype = DType::kInt32;
  op.seq = seq;
  op.deadline = Deadline::after(30s);
  return op;
}

TEST_P(VCollectives, TakeEveryRanksOwnCounts) {
  const Path path = GetParam();
  constexpr std::size_t kSize = 4;
  Ranks ranks(kSize, [path](ShmOptions& o) {
    o.ordinary = path == Path::kCma ? ShmPath::kCma : ShmPath::kStaged;
    o.chunk_bytes = kChunk;
    o.flat_bytes_max = path == Path::kFlat ? 1 << 20 : 1;
  });
  ASSERT_TRUE(ranks.complete());
  const std::vector<std::uint64_t> counts{5, 0, 1000, 77}, displs{2000, 0, 3, 1500};
  std::vector<Bytes> gather_in, scatter_in, all_in;
  for (std::size_t r = 0; r < kSize; ++r) {
    gather_in.push_back(pattern(DType::kInt32, counts[r], r));
    scatter_in.push_back(pattern(DType::kInt32, 1082, 50 + r));
    all_in.push_back(pattern(DType::kInt32, 4000, 90 + r));
  }
  const Bytes sums = reference_sum(DType::kInt32, scatter_in);
  // Rank s sends t: no element when s == t + 1, else 100 * s + 10 * t + 1, from 900 * t on; t puts it at 900 * s + 5.
  const auto amount = [](std::size_t s, std::size_t t) { return s == t + 1 ? 0 : 100 * s + 10 * t + 1; };
  on_ranks(kSize, [&](int rank) {
    const auto r = static_cast<std::size_t>(rank);
    const bool windows = path == Path::kWindow;
    Memory send(ranks[rank], windows, 16000), recv(ranks[rank], windows, 16000);
    Progress progress;
    const auto int_at = [&](std::uint64_t index) {
      std::int32_t v;
      std::memcpy(&v, recv.data + index * 4, 4);
      return v;
    };
    const auto source_at = [](const Bytes& from, std::uint64_t index) {
      std::int32_t v;
      std::memcpy(&v, from.data() + index * 4, 4);
      return v;
    };

    const auto fill = [&send](const Bytes& from) { std::ranges::copy(from, send.data); };

    OpDesc op = v_op(Collective::kAllGatherV, 1);
    op.send = send.data;
    op.recv = recv.data;
    op.count = counts[r];
    op.recv_counts = counts;
    op.recv_displs = displs;
    op.signature = 17;
    fill(gather_in[r]);
    ASSERT_TRUE(ranks[rank].run(op, progress));
    for (std::size_t s = 0; s < kSize; ++s)
      for (std::uint64_t i = 0; i < counts[s]; ++i) ASSERT_EQ(int_at(displs[s] + i), source_at(gather_in[s], i));
    ASSERT_EQ(static_cast<std::uint32_t>(int_at(displs[0] + 5)), 0xeeeeeeeeU) << "wrote behind the part of rank 0";

    op = v_op(Collective::kReduceScatterV, 2);
    op.send = send.data;
    op.recv = recv.data;
    op.recv_counts = counts;
    op.signature = 18;
    fill(scatter_in[r]);
    ASSERT_TRUE(ranks[rank].run(op, progress));
    const std::uint64_t begin = std::accumulate(counts.begin(), counts.begin() + rank, std::uint64_t{0});
    for (std::uint64_t i = 0; i < counts[r]; ++i) ASSERT_EQ(int_at(i), source_at(sums, begin + i));

    std::vector<std::uint64_t> out_counts, out_displs, in_counts, in_displs;
    for (std::size_t t = 0; t < kSize; ++t) {
      out_counts.push_back(amount(r, t));
      out_displs.push_back(900 * t);
      in_counts.push_back(amount(t, r));
      in_displs.push_back(900 * t + 5);
    }
    op = v_op(Collective::kAllToAllV, 3);
    op.send = send.data;
    op.recv = recv.data;
    op.send_counts = out_counts;
    op.send_displs = out_displs;
    op.recv_counts = in_counts;
    op.recv_displs = in_displs;
    op.signature = 19;
    fill(all_in[r]);
    const Result<> outcome = ranks[rank].run(op, progress);
    ASSERT_TRUE(outcome) << outcome.error().message();
    for (std::size_t s = 0; s < kSize; ++s)
      for (std::uint64_t i = 0; i < amount(s, r); ++i)
        ASSERT_EQ(int_at(900 * s + 5 + i), source_at(all_in[s], 900 * r + i)) << "from " << s << " to " << r;
  });
}

INSTANTIATE_TEST_SUITE_P(Paths, VCollectives, testing::Values(Path::kFlat, Path::kWindow, Path::kStaged, Path::kCma));

TEST(Engine, GivesEqualBitsOnEveryPathAndLength) {
  constexpr int kSize = 5;
  Ranks flat(kSize, [](ShmOptions& o) { o.flat_bytes_max = 1 << 20; });
  Ranks staged(kSize);
  ASSERT_TRUE(flat.complete() && staged.complete());
  on_ranks(kSize, [&](int r) {
    const Bytes send = pattern(DType::kFloat32, 50000, static_cast<std::uint64_t>(r));
    Bytes a(send.size()), b(send.size()), head(4000);
    OpDesc op;
    op.kind = Collective::kAllReduce;
    op.count = 50000;
    op.send = send.data();
    op.recv = a.data();
    op.signature = 1;
    op.deadline = Deadline::after(30s);
    Progress progress;
    ASSERT_TRUE(flat[r].run(op, progress));
    op.recv = b.data();
    ASSERT_TRUE(staged[r].run(op, progress));
    op.recv = head.data();
    op.count = 1000;
    op.signature = 2;
    ASSERT_TRUE(staged[r].run(op, progress));
    EXPECT_EQ(a, b);
    EXPECT_TRUE(std::equal(head.begin(), head.end(), a.begin()));
  });
}

TEST(Engine, DividesAverageByTheDivisorOrTheGroup) {
  Ranks ranks(2);
  ASSERT_TRUE(ranks.complete());
  on_ranks(2, [&](int r) {
    const float mine = r == 0 ? 10.0F : 20.0F;
    float out = 0;
    OpDesc op;
    op.kind = Collective::kAllReduce;
    op.op = ReduceOp::kAvg;
    op.count = 1;
    op.send = &mine;
    op.recv = &out;
    op.signature = 1;
    op.deadline = Deadline::after(30s);
    Progress progress;
    ASSERT_TRUE(ranks[r].run(op, progress));
    EXPECT_EQ(out, 15.0F);
    op.divisor = 8;
    ASSERT_TRUE(ranks[r].run(op, progress));
    EXPECT_EQ(out, 3.75F);
  });
}

TEST(Engine, MixesWindowsAndOrdinaryBuffers) {
  Ranks ranks(3);
  ASSERT_TRUE(ranks.complete());
  on_ranks(3, [&](int r) {
    constexpr std::uint64_t kCount = 30000;
    std::vector<std::int32_t> heap(kCount, r + 1), out(kCount);
    auto window = ranks[r].alloc(kCount * 4);
    ASSERT_TRUE(window);
    std::memcpy(*window, heap.data(), kCount * 4);
    OpDesc op;
    op.kind = Collective::kAllReduce;
    op.dtype = DType::kInt32;
    op.count = kCount;
    op.send = r == 1 ? *window : heap.data();
    op.recv = r == 1 ? *window : out.data();
    op.signature = 1;
    op.deadline = Deadline::after(30s);
    Progress progress;
    ASSERT_TRUE(ranks[r].run(op, progress));
    const auto* got = static_cast<const std::int32_t*>(op.recv);
    EXPECT_TRUE(std::all_of(got, got + kCount, [](std::int32_t v) { return v == 6; }));
  });
}

}  // namespace
}  // namespace ff::hfreduce::shm_test
