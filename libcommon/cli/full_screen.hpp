// FullScreen: the whole terminal, for a table that is drawn again and again, and the keys that are pressed meanwhile.
//
// Restored   When it goes; while the process is stopped by Ctrl-Z. Ctrl-C and SIGTERM do what they did before: who
//            catches them lets this object go. Killed otherwise, the terminal's own `reset` helps.
// Threads    One. One object at a time.
#pragma once

#include <termios.h>

#include <cstddef>
#include <string>
#include <string_view>

#include "libcommon/base/result.hpp"

namespace ff::cli {

class FullScreen {
 public:
  // Whether standard input and output are a terminal that can do this (TERM is not "dumb").
  static bool possible();

  // REQUIRES: possible().
  FullScreen();
  ~FullScreen();
  FullScreen(const FullScreen&) = delete;
  FullScreen& operator=(const FullScreen&) = delete;

  // Lines of text, cut to the terminal's size as it is now; the first is highlighted, as is the line of titles. kIo.
  Result<> draw(std::string_view text);
  // Since it was last drawn.
  bool resized() const;
  // The next key that was pressed, 0 if none; does not wait. Ctrl-Z is handled here and gives 'z' afterwards: draw
  // again. 'q' also when the terminal is gone.
  char key();

 private:
  void enter();
  void leave();

  termios before_{};
  std::size_t rows_ = 0, columns_ = 0;  // as it was last drawn
};

// `text` cut to so many lines and columns, each line ended by "erase to the end of the line". Pure.
std::string fit_to_screen(std::string_view text, std::size_t rows, std::size_t columns);

}  // namespace ff::cli
