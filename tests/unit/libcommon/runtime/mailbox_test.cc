#include "libcommon/runtime/mailbox.hpp"

#include <gtest/gtest.h>
#include <poll.h>

#include <vector>

namespace ff::runtime {
namespace {

bool readable(const Mailbox& mailbox) {
  pollfd about{.fd = mailbox.fd(), .events = POLLIN, .revents = 0};
  return ::poll(&about, 1, 0) == 1;
}

struct Note final : Delivery {
  explicit Note(int& n) : count(n) {}
  void delivered() override { ++count; }
  int& count;
};

TEST(Mailbox, RunsPostsInTheirOrder) {
  auto mailbox = *Mailbox::create();
  std::vector<int> log;
  EXPECT_FALSE(mailbox->has_mail());
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(mailbox->post([&log, i] { log.push_back(i); }));
  EXPECT_TRUE(mailbox->has_mail());
  mailbox->drain();
  EXPECT_EQ(log, (std::vector{0, 1, 2}));
  EXPECT_FALSE(mailbox->has_mail());
}

TEST(Mailbox, WakesOnlyTheSleeping) {
  auto mailbox = *Mailbox::create();
  mailbox->post([] {});
  EXPECT_FALSE(readable(*mailbox));
  EXPECT_FALSE(mailbox->announce_sleep());  // there is mail: do not sleep
  mailbox->drain();
  EXPECT_TRUE(mailbox->announce_sleep());
  EXPECT_FALSE(readable(*mailbox));
  mailbox->post([] {});
  EXPECT_TRUE(readable(*mailbox));
}

TEST(Mailbox, InterruptWakesInAnyCase) {
  auto mailbox = *Mailbox::create();
  mailbox->interrupt();
  EXPECT_TRUE(readable(*mailbox));
}

TEST(Mailbox, RefusesPostsWhileClosedButTakesDeliveries) {
  auto mailbox = *Mailbox::create();
  int posted = 0, delivered = 0;
  mailbox->post([&] { ++posted; });
  mailbox->close();
  EXPECT_FALSE(mailbox->post([&] { ++posted; }));
  Note note(delivered);
  mailbox->deliver(note);
  mailbox->drain();
  EXPECT_EQ(posted, 1);
  EXPECT_EQ(delivered, 1);
  mailbox->open();
  EXPECT_TRUE(mailbox->post([&] { ++posted; }));
}

TEST(Mailbox, APostMayPost) {
  auto mailbox = *Mailbox::create();
  int ran = 0;
  mailbox->post([&] { mailbox->post([&] { ++ran; }); });
  mailbox->drain();
  EXPECT_EQ(ran, 0);
  mailbox->drain();
  EXPECT_EQ(ran, 1);
}

}  // namespace
}  // namespace ff::runtime
