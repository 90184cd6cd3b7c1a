// BulkEngine: the bulk half of one connection. Cuts pushes and pulls into segments, gives them to lanes as these have
// room, places what arrives into exposed memory, and gives the segments of a lost lane to others.
//
// A late duplicate must not overwrite newer bytes: pushed segments of a lost lane are sent again only after the peer
// has said that it dropped that lane ("fence", ping.hpp), or after the lane was opened anew, which implies it. Pulls
// need no fence: the one who asks is the one who reads.
//
// Ownership  Part of a connection, which outlives its tasks. Made when bulk is first used: idle connections have none.
// Threads    Those of the RealEnv.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "libcommon/net/bulk_lane.hpp"
#include "libcommon/net/bulk_work.hpp"
#include "libcommon/net/exposure_table.hpp"
#include "libcommon/net/tcp_host.hpp"

namespace ff::net {

class BulkEngine {
 public:
  // What it asks of its connection.
  class Owner {
   public:
    // There is work, or soon will be: see that lanes are opened.
    virtual void want_lanes() = 0;
    // The peer breaks the rules.
    virtual void bulk_failed(Error why) = 0;
    virtual std::string peer_text() const = 0;

   protected:
    ~Owner() = default;
  };

  BulkEngine(Owner& owner, TcpHost& host, std::uint64_t features) noexcept
      : owner_(owner), host_(host), checksum_((features & kFeatureBulkChecksum) != 0) {}

  std::shared_ptr<Region> expose(std::span<std::byte> memory, Access access);
  runtime::Task<void> revoke(std::shared_ptr<Region> region);
  // The peer cannot reach it from now on; what the kernel is at goes on.
  void forget(const Region& region) noexcept { exposures_.remove(region); }

  runtime::Task<Result<>> run(BulkKind kind, std::byte* memory, RemoteMemory remote, std::uint64_t bytes);

  // Serves the lane until it is lost or cancelled, and gives its work back. Returns why it ended.
  // `drops`: drops() from before the peer could send on this lane. When it was dropped since, it is not served: the
  // peer has been told that nothing of it comes any more.
  // REQUIRES: drop_lane() of this number came before.
  runtime::Task<Error> serve(std::shared_ptr<BulkLane> lane, std::uint64_t drops);
  // Cuts a lane, if it is there, and returns when nothing of it is written to memory any more; nor of one that is about
  // to be served. REQUIRES: 0 < number < kLanesMax.
  runtime::Task<Result<>> drop_lane(std::uint16_t number, const char* why);
  // How often that was.
  std::uint64_t drops(std::uint16_t number) const noexcept {
    const auto at = drops_.find(number);
    return at == drops_.end() ? 0 : at->second;
  }
  // Why the last attempt to open a lane failed, for the errors of those who wait for one.
  void open_failed(Error why) { last_failure_ = std::move(why); }

  // Now and then: cuts lanes that are stuck, fails what has waited too long for any lane.
  void tick(runtime::Time now);
  // The connection is over: everything under way fails; serve() is cancelled by the caller.
  void close(const Error& why);
  // For tests that cut a lane from outside.
  std::vector<int> lane_fds() const;

 private:
  // Segments of a lost lane, until its end is confirmed.
  struct Fence {
    std::vector<Segment> segments;
    std::uint64_t number = 0;     // of the ping
    BulkLane* carrier = nullptr;  // asked over this lane; null: none is there
  };

  // Sending (bulk_send.cc).
  runtime::Task<Result<>> write_lane(BulkLane& lane);
  void fill(BulkLane& lane);
  void add_frame(BulkLane::Batch& batch, Message frame);
  void add_answer(BulkLane& lane);
  void add_segment(BulkLane& lane, std::uint64_t bytes_max);
  void add_payload(BulkLane::Batch& batch, FrameHeader header, const std::byte* from, Uses& uses);
  void batch_written(BulkLane::Batch& batch) noexcept;
  void wake_lanes() noexcept;
  void post_frame(BulkLane& lane, const FrameHeader& header, std::span<const std::byte> payload = {});

  // Receiving (bulk_receive.cc).
  runtime::Task<Result<>> read_lane(BulkLane& lane);
  runtime::Task<Result<>> on_pushed(BulkLane& lane, FrameHeader header);
  runtime::Task<Result<>> on_pulled(BulkLane& lane, FrameHeader header);
  runtime::Task<Result<>> place(BulkLane& lane, Uses& uses, std::span<std::byte> into);
  runtime::Task<Result<>> discard(BulkLane& lane, std::uint64_t bytes);
  runtime::Task<Result<>> on_ping(BulkLane& lane, std::uint64_t number);
  Result<> on_ack(BulkLane& lane, const FrameHeader& header);
  Result<> on_nack(BulkLane& lane, const FrameHeader& header, std::span<const std::byte> reason);
  Result<> on_pull(BulkLane& lane, const FrameHeader& header, std::span<const std::byte> payload);
  Result<> discarded();
  void refuse(BulkLane& lane, const FrameHeader& header, std::uint16_t flags, const Error& why);
  void segment_corrupt(Segment segment);

  // Failover (bulk_engine.cc).
  void lane_lost(BulkLane& lane);
  void send_fence(std::uint16_t number);
  void send_fences_of(const BulkLane* carrier);
  bool carries_fence(const BulkLane& lane) const noexcept;
  void fence_passed(std::uint16_t number);
  void again(Segment segment);
  void link(BulkOperation& operation);
  void give_up(BulkOperation& operation) noexcept;
  void cut_users_of(const Uses& uses);

  Owner& owner_;
  TcpHost& host_;
  const bool checksum_;
  ExposureTable exposures_;
  std::map<std::uint16_t, std::shared_ptr<BulkLane>> lanes_;
  std::map<std::uint16_t, Fence> fences_;
  std::map<std::uint16_t, std::uint64_t> drops_;
  runtime::IntrusiveList<BulkOperation, BulkOperation> waiting_;  // operations with bytes not given to a lane
  std::uint64_t waiting_bytes_ = 0;
  std::uint64_t next_transfer_ = 1;
  std::uint32_t next_fence_ = 1;
  runtime::WaitQueue lane_ended_;
  unsigned discarded_in_row_ = 0;
  std::optional<runtime::Time> no_lane_since_;
  std::optional<Error> last_failure_;
  std::optional<Error> closed_;
};

}  // namespace ff::net
