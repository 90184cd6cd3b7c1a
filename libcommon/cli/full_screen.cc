#include "libcommon/cli/full_screen.hpp"

#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <span>
#include <string>
#include <tuple>
#include <utility>

#include "libcommon/base/file.hpp"

namespace ff::cli {

namespace {

// ECMA-48 and xterm: the other screen, no cursor; and back.
constexpr std::string_view kEnter = "\x1b[?1049h\x1b[?25l\x1b[2J";
constexpr std::string_view kLeave = "\x1b[?25h\x1b[?1049l";
constexpr std::string_view kHome = "\x1b[H", kEraseLine = "\x1b[K", kEraseBelow = "\x1b[J";
constexpr std::string_view kBold = "\x1b[1m", kPlain = "\x1b[0m";
constexpr char kCtrlZ = 0x1a;

std::pair<std::size_t, std::size_t> size_now() {
  winsize size{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_row == 0 || size.ws_col == 0) return {24, 80};
  return {size.ws_row, size.ws_col};
}

Result<> put(std::string_view text) { return write_all(STDOUT_FILENO, std::as_bytes(std::span(text))); }

}  // namespace

bool FullScreen::possible() {
  const char* const term = std::getenv("TERM");
  return ::isatty(STDIN_FILENO) != 0 && ::isatty(STDOUT_FILENO) != 0 && term != nullptr && *term != '\0' &&
         std::string_view(term) != "dumb";
}

FullScreen::FullScreen() {
  ::tcgetattr(STDIN_FILENO, &before_);
  enter();
}

FullScreen::~FullScreen() { leave(); }

void FullScreen::enter() {
  termios keys = before_;
  keys.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
  keys.c_cc[VMIN] = 0;
  keys.c_cc[VTIME] = 0;
  // They come as keys: a process that these stop or end would leave the terminal as it is.
  keys.c_cc[VSUSP] = _POSIX_VDISABLE;
  keys.c_cc[VQUIT] = _POSIX_VDISABLE;
  ::tcsetattr(STDIN_FILENO, TCSANOW, &keys);
  (void)put(kEnter);
}

void FullScreen::leave() {
  (void)put(kLeave);
  ::tcsetattr(STDIN_FILENO, TCSANOW, &before_);
}

Result<> FullScreen::draw(std::string_view text) {
  std::tie(rows_, columns_) = size_now();
  return put(fit_to_screen(text, rows_, columns_));
}

bool FullScreen::resized() const { return size_now() != std::pair(rows_, columns_); }

char FullScreen::key() {
  pollfd input{.fd = STDIN_FILENO, .events = POLLIN, .revents = 0};
  if (::poll(&input, 1, 0) <= 0) return 0;
  char pressed = 0;
  const ssize_t got = ::read(STDIN_FILENO, &pressed, 1);
  if (got < 0 && (errno == EINTR || errno == EAGAIN)) return 0;
  if (got < 0 || (got == 0 && (input.revents & POLLHUP) != 0)) return 'q';
  if (got == 0) return 0;
  if (pressed != kCtrlZ) return pressed;
  leave();
  ::raise(SIGTSTP);  // returns when somebody continues us
  ::tcgetattr(STDIN_FILENO, &before_);
  enter();
  return 'z';
}

std::string fit_to_screen(std::string_view text, std::size_t rows, std::size_t columns) {
  std::string out(kHome);
  for (std::size_t row = 0; row < rows; ++row) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    // Tables are ASCII but for names, which end lines: a cut name may lose half a character, and terminals show that.
    std::string_view line = text.substr(0, std::min(end, columns));
    while (!line.empty() && line.size() < end && (static_cast<unsigned char>(text[line.size()]) & 0xc0) == 0x80)
      line.remove_suffix(1);
    if (row < 2) out += kBold;
    out += line;
    if (row < 2) out += kPlain;
    out += kEraseLine;
    if (end >= text.size()) break;
    text.remove_prefix(end + 1);
    // The last line has no line break: it would scroll.
    if (text.empty() || row + 1 == rows) break;
    out += "\r\n";
  }
  out += kEraseBelow;
  return out;
}

}  // namespace ff::cli
