// How operations run once for each tag: the private templates of Namespace, for its namespace_*.cc.
#pragma once

#include <fmt/core.h>

#include "ffs/meta/namespace.hpp"

namespace ff::ffs {

namespace detail {

// The answer that was kept for this tag of this user; nothing: none was.
template <class Reply>
runtime::Task<Result<std::optional<Reply>>> kept_answer(View& view, const Tag& tag, std::uint32_t uid,
                                                        const char* method) {
  FF_CO_TRY_ASSIGN(const auto value, co_await view.get(keys::answer(tag.client(), tag.sequence(), uid)));
  if (!value) co_return std::nullopt;
  FF_CO_TRY_ASSIGN(const AnswerRecord answer, decode_record<AnswerRecord>(*value, "answer"));
  if (answer.method() != method) {
    co_return fail(Errc::kInvalidArgument, fmt::format("request {:x}/{}: its tag was used for '{}' before",
                                                       tag.client(), tag.sequence(), answer.method()));
  }
  if (answer.posix() != 0) {
    const auto posix = static_cast<int>(answer.posix());
    co_return fail(Error(posix_error(posix, "").code(), answer.detail(), posix));
  }
  Reply reply;
  if (!reply.ParseFromString(answer.reply())) co_return fail(Errc::kCorrupt, "answer: cannot be read (run fffsck)");
  co_return reply;
}

void keep_answer(View& view, const Tag& tag, std::uint32_t uid, AnswerRecord answer, runtime::Duration kept);

}  // namespace detail

template <class T>
runtime::Task<Result<T>> Namespace::transact(TransactionBody<T> body) {
  std::optional<Error> answer;
  auto result = co_await kv::transact(env_, store_, {.timeout = options_.timeout, .retry_maybe_committed = true},
                                      [&](kv::Transaction& transaction) -> runtime::Task<Result<T>> {
                                        View seen = view(transaction);
                                        answer.reset();
                                        Result<T> outcome = co_await body(seen);
                                        if (!outcome && is_posix(outcome.error())) answer = outcome.error();
                                        co_return outcome;
                                      });
  if (result) co_return result;
  if (answer) co_return fail(std::move(*answer));
  co_return fail(not_posix(std::move(result).error()));
}

template <class T>
runtime::Task<Result<T>> Namespace::look(TransactionBody<T> body) {
  co_return co_await transact<T>(body);
}

template <class Reply, class Request>
runtime::Task<Result<Reply>> Namespace::answer_once(const Request& request, const char* method,
                                                    TransactionBody<Reply> body) {
  const Tag tag = tag_or_new(request.request());
  const std::uint32_t uid = request.user().uid();
  unsigned attempts = 0;
  auto result = co_await transact<Reply>([&](View& view) -> runtime::Task<Result<Reply>> {
    ++attempts;
    FF_CO_TRY_ASSIGN(auto kept, co_await detail::kept_answer<Reply>(view, tag, uid, method));
    if (kept) co_return std::move(*kept);
    FF_CO_TRY_ASSIGN(Reply reply, co_await body(view));
    AnswerRecord answer;
    answer.set_method(method);
    reply.SerializeToString(answer.mutable_reply());
    detail::keep_answer(view, tag, uid, std::move(answer), options_.answers_kept);
    co_return reply;
  });
  if (result || !is_posix(result.error()) || attempts == 1) co_return result;
  // An earlier attempt may be under way to its commit still. Keeping this answer makes that one conflict; if it was
  // there already, its answer holds.
  const Error refusal = result.error();
  using Kept = std::optional<Reply>;
  FF_CO_TRY_ASSIGN(Kept earlier, co_await transact<Kept>([&](View& view) -> runtime::Task<Result<Kept>> {
                     FF_CO_TRY_ASSIGN(Kept kept, co_await detail::kept_answer<Reply>(view, tag, uid, method));
                     if (kept) co_return kept;
                     AnswerRecord answer;
                     answer.set_method(method);
                     answer.set_posix(static_cast<std::uint32_t>(refusal.sys_errno()));
                     answer.set_detail(refusal.message());
                     detail::keep_answer(view, tag, uid, std::move(answer), options_.answers_kept);
                     co_return Kept();
                   }));
  if (!earlier) co_return fail(refusal);
  co_return std::move(*earlier);
}

}  // namespace ff::ffs
