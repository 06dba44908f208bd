// For the tests of errors.
#pragma once

#include <gtest/gtest.h>

#include <exception>
#include <string>

namespace espalier {

/// The text of the exception of exactly type E that `action` throws; a test failure otherwise.
template <class E, class Action>
std::string throws(Action action) {
  try {
    action();
  } catch (const std::exception& error) {
    EXPECT_EQ(typeid(error), typeid(E)) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return "";
}

}  // namespace espalier
