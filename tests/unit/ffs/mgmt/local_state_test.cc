#include "ffs/mgmt/local_state.hpp"

#include <gtest/gtest.h>

namespace ff::ffs {
namespace {

TargetPlace at(PublicState state, ChainVersion version) {
  return {.known = true, .chain = ChainId{1}, .version = version, .state = state};
}
LocalState report(TargetLife& life, const TargetPlace& place) {
  advance(life, place);
  return local_state(life, place);
}

TEST(LocalState, ANewProcessOwnsNothingUntilItsTargetWasTakenOut) {
  TargetLife life{.usable = true};
  EXPECT_EQ(report(life, {}), LOCAL_OFFLINE);  // no routing yet
  for (const PublicState state : {SERVING, SYNCING, WAITING}) {
    EXPECT_EQ(report(life, at(state, 4)), LOCAL_OFFLINE);
    EXPECT_FALSE(may_serve(life, at(state, 4)));
  }
  EXPECT_EQ(report(life, at(LASTSRV, 5)), LOCAL_ONLINE);
  EXPECT_EQ(report(life, at(SERVING, 6)), LOCAL_UPTODATE);
  EXPECT_TRUE(may_serve(life, at(SERVING, 6)));
}

TEST(LocalState, ATargetThatIsInNoChainJoinsAndServesANewOneAtOnce) {
  TargetLife life{.usable = true};
  EXPECT_EQ(report(life, {.known = true}), LOCAL_ONLINE);
  EXPECT_EQ(report(life, at(SERVING, 1)), LOCAL_UPTODATE);
}

TEST(LocalState, AFinishedSyncCountsForItsChainVersionOnly) {
  TargetLife life{.usable = true, .joined = true};
  EXPECT_EQ(report(life, at(SYNCING, 7)), LOCAL_ONLINE);
  life.synced = 7;
  EXPECT_EQ(report(life, at(SYNCING, 7)), LOCAL_UPTODATE);
  EXPECT_EQ(report(life, at(SYNCING, 8)), LOCAL_ONLINE);
  EXPECT_EQ(report(life, at(SYNCING, 7)), LOCAL_ONLINE);  // forgotten
}

TEST(LocalState, AFailedOrWithdrawnTargetStopsAndHasToJoinAnew) {
  TargetLife life{.usable = true, .joined = true};
  life.usable = false;
  EXPECT_EQ(report(life, at(SERVING, 3)), LOCAL_OFFLINE);
  life.usable = true;
  EXPECT_EQ(report(life, at(SERVING, 3)), LOCAL_OFFLINE);
  EXPECT_EQ(report(life, at(OFFLINE, 4)), LOCAL_ONLINE);
  TargetPlace withdrawn = at(SERVING, 9);
  withdrawn.set_offline = true;
  EXPECT_EQ(report(life, withdrawn), LOCAL_OFFLINE);
  EXPECT_FALSE(may_serve(life, withdrawn));
}

}  // namespace
}  // namespace ff::ffs
