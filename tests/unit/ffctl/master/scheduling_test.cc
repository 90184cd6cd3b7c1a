// Views of queued jobs that are kept between passes are those that would be made anew, whatever happens to the jobs.
#include "ffctl/master/scheduling.hpp"

#include "tests/unit/ffctl/master/engine_world.hpp"

namespace ff::ctl {
namespace {

JobSpec any_spec(Rng& rng) {
  JobSpec spec =
      spec_of(fmt::format("j{}", rng.below(1000)), 1 + static_cast<std::uint32_t>(rng.below(3)),
              {fmt::format("steps={}", 1 + rng.below(60)), "rate=20", fmt::format("exit={}", rng.below(8) / 7)});
  spec.set_queue(fmt::format("q{}", rng.below(3)));
  spec.set_priority(static_cast<Priority>(1 + rng.below(7)));
  if (rng.below(6) == 0) spec.mutable_placement()->add_exclude("n0");
  if (rng.below(4) == 0) spec.mutable_time()->set_limit_ms(500 + rng.below(5000));
  if (rng.below(4) == 0) spec.mutable_retry()->add_on(NONZERO_EXIT);
  return spec;
}

void disturb(World& world, Rng& rng, std::vector<std::uint64_t>& jobs) {
  const Actor user{.user = fmt::format("u{}", rng.below(4)), .uid = 1000 + static_cast<std::uint32_t>(rng.below(4))};
  if (jobs.size() < 60 && rng.below(2) == 0) {
    jobs.push_back(world.submit(any_spec(rng), user));
    return;
  }
  if (jobs.empty()) return;
  const std::uint64_t id = jobs[rng.below(jobs.size())];
  if (world.engine.job(id) == nullptr) return;
  using C = ControlRequest;
  static constexpr C::Verb kVerbs[] = {C::HOLD, C::RELEASE, C::SUSPEND, C::RESUME, C::REQUEUE, C::SET_PRIORITY};
  // What cannot be done in its phase is refused.
  (void)world.engine.control(
      id, {.verb = kVerbs[rng.below(std::size(kVerbs))], .priority = static_cast<Priority>(1 + rng.below(7))}, kRoot,
      world.now);
}

TEST(Scheduling, ViewsThatAreKeptAreThoseMadeAnew) {
  std::size_t most = 0;
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    Rng rng(seed);
    World world(4);
    world.schedule = false;
    Scheduling scheduling = *Scheduling::create(seed % 2 == 0 ? "slice" : "easy", 50);
    scheduling.begin(world.engine, world.now);
    std::vector<std::uint64_t> jobs;
    for (int step = 0; step < 300; ++step) {
      disturb(world, rng, jobs);
      if (rng.below(40) == 0) {
        world.crash();
        scheduling.begin(world.engine, world.now);
      }
      world.run(10 * rng.below(8));
      ASSERT_TRUE(scheduling.kept_views_hold(world.engine, world.now)) << "seed " << seed << " step " << step;
      (void)scheduling.pass(world.engine, world.now);
      ASSERT_TRUE(scheduling.kept_views_hold(world.engine, world.now)) << "seed " << seed << " step " << step;
      most = std::max(most, scheduling.kept_views());
    }
  }
  EXPECT_GT(most, 10U) << "nothing was kept";
}

}  // namespace
}  // namespace ff::ctl
