// A Figure as inline SVG for a web page: no script, no external reference, colours from the page's style sheet
// (kFigureStyle), so that light and dark come from one drawing. Every point carries its value as a tooltip, in human
// units and in the document's own.
// Input    untrusted: all text is escaped, numbers that are not finite are not drawn.
// Threads  Pure functions.
#pragma once

#include <string>
#include <string_view>

#include "ffbench/view/figure.hpp"

namespace ff::bench {

// Rules for the classes that the drawing uses.
extern const std::string_view kFigureStyle;

std::string svg_of(const Figure& figure);

// The text with &, <, >, " and ' as entities, control characters as escapes, other bytes as U+FFFD: safe as text and in
// a quoted attribute of HTML and XML.
std::string escape_html(std::string_view text);

}  // namespace ff::bench
