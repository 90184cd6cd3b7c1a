#include "libcommon/runtime/context.hpp"

#include <memory>
#include <vector>

#include "tests/unit/libcommon/runtime/manual_env.hpp"

namespace ff::runtime {
namespace {

struct Hook final : CancelHook {
  void on_cancel(const Error& why) override {
    linked_when_called = linked();
    messages.push_back(why.message());
  }
  bool linked_when_called = false;
  std::vector<std::string> messages;
};

TEST(Context, CancelTellsEveryHookOnceAndTheFirstReasonCounts) {
  ManualEnv env;
  Context context(env);
  Hook a, b;
  context.add(a);
  context.add(b);
  context.cancel(Error(Errc::kTimeout, "first"));
  context.cancel(Error(Errc::kCancelled, "second"));
  EXPECT_EQ(a.messages, std::vector<std::string>{"first"});
  EXPECT_EQ(b.messages, std::vector<std::string>{"first"});
  EXPECT_FALSE(a.linked_when_called);
  EXPECT_EQ(context.why().code(), Errc::kTimeout);
}

TEST(Context, CancellingTheParentCancelsChildrenButNotTheOtherWayRound) {
  ManualEnv env;
  Context parent(env);
  Context child(parent), sibling(parent);
  Context grandchild(child);
  child.cancel(Error(Errc::kCancelled, "child only"));
  EXPECT_TRUE(grandchild.cancelled());
  EXPECT_FALSE(parent.cancelled());
  EXPECT_FALSE(sibling.cancelled());
  parent.cancel(Error(Errc::kTimeout, "all"));
  EXPECT_EQ(sibling.why().message(), "all");
  EXPECT_EQ(child.why().message(), "child only");
}

TEST(Context, AChildOfACancelledParentIsBornCancelled) {
  ManualEnv env;
  Context parent(env);
  parent.cancel(Error(Errc::kTimeout, "late"));
  Context child(parent);
  ASSERT_TRUE(child.cancelled());
  EXPECT_EQ(child.why().code(), Errc::kTimeout);
}

TEST(Context, ADestroyedChildOrHookIsForgotten) {
  ManualEnv env;
  Context parent(env);
  {
    Context child(parent);
    Hook hook;
    parent.add(hook);
  }
  parent.cancel(Error(Errc::kCancelled, "x"));
  EXPECT_TRUE(parent.cancelled());
}

TEST(Context, ChildrenInheritTraceAndDeadlineAndOnlyNarrowTheDeadline) {
  ManualEnv env;
  Context parent(env, 42);
  const Time soon = env.now() + 1s;
  parent.set_deadline(soon);
  Context child(parent);
  EXPECT_EQ(child.trace(), 42u);
  EXPECT_EQ(child.deadline(), soon);
  child.set_deadline(soon + 1s);
  EXPECT_EQ(child.deadline(), soon);
  child.set_deadline(soon - 500ms);
  EXPECT_EQ(child.deadline(), soon - 500ms);
  EXPECT_EQ(parent.deadline(), soon);
  EXPECT_EQ(&child.env(), &env);
}

}  // namespace
}  // namespace ff::runtime
