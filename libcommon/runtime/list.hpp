// IntrusiveList: a doubly linked list of objects that carry their own links. Linking allocates nothing and an object
// that is destroyed leaves its list by itself, which is what lets a coroutine frame be destroyed while it waits.
//
// Ownership  The list owns nothing. A list must be empty, or outlive its elements, when it is destroyed: elements
//            that are still linked are unlinked.
// Threads    One thread at a time.
#pragma once

#include <cstddef>

namespace ff::runtime {

// Base of what can be in a list; in at most one at a time. Tag tells apart the links of an object that is in several.
template <class Tag = void>
class ListHook {
 public:
  ListHook() noexcept = default;
  ListHook(const ListHook&) = delete;
  ListHook& operator=(const ListHook&) = delete;
  ~ListHook() { unlink(); }

  bool linked() const noexcept { return next_ != nullptr; }
  void unlink() noexcept {
    if (next_ == nullptr) return;
    next_->previous_ = previous_;
    previous_->next_ = next_;
    next_ = previous_ = nullptr;
  }

 private:
  template <class, class>
  friend class IntrusiveList;
  ListHook* next_ = nullptr;
  ListHook* previous_ = nullptr;
};

template <class T, class Tag = void>
class IntrusiveList {
  using Hook = ListHook<Tag>;

 public:
  IntrusiveList() noexcept { head_.next_ = head_.previous_ = &head_; }
  IntrusiveList(const IntrusiveList&) = delete;
  IntrusiveList& operator=(const IntrusiveList&) = delete;
  ~IntrusiveList() {
    while (!empty()) head_.next_->unlink();
    head_.next_ = head_.previous_ = nullptr;
  }

  bool empty() const noexcept { return head_.next_ == &head_; }
  // REQUIRES: not empty.
  T& front() noexcept { return static_cast<T&>(*head_.next_); }
  T& back() noexcept { return static_cast<T&>(*head_.previous_); }
  // REQUIRES: `element` is in no list with this tag.
  void push_back(T& element) noexcept { insert_before(head_, element); }
  void push_front(T& element) noexcept { insert_before(*head_.next_, element); }
  // Null when empty.
  T* pop_front() noexcept {
    if (empty()) return nullptr;
    T& first = front();
    static_cast<Hook&>(first).unlink();
    return &first;
  }
  // Moves all elements of `other` to the end of this list.
  void splice_back(IntrusiveList& other) noexcept {
    if (other.empty()) return;
    Hook* first = other.head_.next_;
    Hook* last = other.head_.previous_;
    other.head_.next_ = other.head_.previous_ = &other.head_;
    first->previous_ = head_.previous_;
    head_.previous_->next_ = first;
    last->next_ = &head_;
    head_.previous_ = last;
  }
  // Counts; for tests and for picking at random in the simulation.
  std::size_t size() const noexcept {
    std::size_t n = 0;
    for (const Hook* hook = head_.next_; hook != &head_; hook = hook->next_) ++n;
    return n;
  }
  // REQUIRES: index < size().
  T& at(std::size_t index) noexcept {
    Hook* hook = head_.next_;
    while (index-- > 0) hook = hook->next_;
    return static_cast<T&>(*hook);
  }
  // `visit` must not unlink elements.
  template <class F>
  void for_each(F visit) {
    for (Hook* hook = head_.next_; hook != &head_; hook = hook->next_) visit(static_cast<T&>(*hook));
  }

 private:
  static void insert_before(Hook& place, Hook& hook) noexcept {
    hook.next_ = &place;
    hook.previous_ = place.previous_;
    place.previous_->next_ = &hook;
    place.previous_ = &hook;
  }
  Hook head_;
};

}  // namespace ff::runtime
