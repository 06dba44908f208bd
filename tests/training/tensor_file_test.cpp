#include "training/tensor_file.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/types.h>

#include <cstring>

#include "core/error.hpp"
#include "tests/core/temporary_directory.hpp"
#include "tests/core/throws.hpp"

namespace espalier {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class TensorFileTest : public testing::Test {
 protected:
  // A file as another program would write it.
  void write(const std::string& header, const std::string& data) {
    std::string length(8, '\0');
    const std::uint64_t size = header.size();
    std::memcpy(length.data(), &size, 8);
    write_file_atomically(path_, length + header + data);
  }
  std::string error() {
    return throws<IoError>([&] { read_tensors(path_); });
  }
  static bool same(const TensorFile& a, const TensorFile& b) {
    return a.info == b.info &&
           std::ranges::equal(a.tensors, b.tensors, [](const auto& x, const auto& y) {
             return x.first == y.first && x.second.scalar_type() == y.second.scalar_type() &&
                    x.second.equal(y.second);
           });
  }

  TemporaryDirectory directory_;
  std::filesystem::path path_ = directory_.path() / "t.safetensors";
};

TEST_F(TensorFileTest, ReadsWhatItWrote) {
  TensorFile file;
  for (const at::ScalarType type : {at::kBool, at::kByte, at::kChar, at::kShort, at::kInt,
                                    at::kLong, at::kHalf, at::kBFloat16, at::kFloat, at::kDouble}) {
    file.tensors[c10::toString(type)] = torch::arange(7).to(type);
  }
  file.tensors["scalar"] = torch::tensor(2.5);
  file.tensors["empty"] = torch::zeros({3, 0, 2});
  const at::Tensor image = torch::arange(24).to(torch::kFloat).view({1, 2, 3, 4});
  file.tensors["image"] = image.contiguous(at::MemoryFormat::ChannelsLast);
  file.tensors["view"] = image.transpose(1, 3);
  file.tensors["parameter \"x\""] = torch::ones({2}).set_requires_grad(true);
  file.info = {{"epoch", 3}, {"loss", 0.1}, {"text", "a\nb"}};
  write_tensors(path_, file);
  const TensorFile again = read_tensors(path_);
  EXPECT_TRUE(same(file, again));
  EXPECT_FALSE(again.tensors.at("parameter \"x\"").requires_grad());
  EXPECT_TRUE(again.tensors.at("image").is_contiguous());
  EXPECT_THAT(directory_.names(), ElementsAre("t.safetensors"));
}

TEST_F(TensorFileTest, ReadsFilesOfOtherPrograms) {
  write(R"({"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]}}  )", "xyz");
  const TensorFile file = read_tensors(path_);
  EXPECT_TRUE(file.info.is_null());
  EXPECT_TRUE(file.tensors.at("a").equal(torch::tensor({'x', 'y', 'z'}, torch::kByte)));
  write(R"({"__metadata__":{"format":"pt"}})", "");
  EXPECT_TRUE(read_tensors(path_).tensors.empty());
}

TEST_F(TensorFileTest, EveryTruncationIsAnError) {
  write_tensors(path_, {.tensors = {{"a", torch::arange(3)}}, .info = {{"epoch", 1}}});
  const std::string whole = read_file(path_);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    write_file_atomically(path_, whole.substr(0, size));
    error();
  }
  write_file_atomically(path_, whole + "x");
  EXPECT_THAT(error(),
              HasSubstr("corrupt tensor file: the data: 25 bytes, but the tensors have 24"));
}

TEST_F(TensorFileTest, EveryChangedByteIsFound) {
  const TensorFile file{.tensors = {{"a", torch::arange(3)}, {"b", torch::ones({2, 2})}},
                        .info = {{"epoch", 1}}};
  write_tensors(path_, file);
  const std::string whole = read_file(path_);
  for (std::size_t i = 0; i < whole.size(); ++i) {
    std::string changed = whole;
    changed[i] ^= 1;
    write_file_atomically(path_, changed);
    error();
  }
}

TEST_F(TensorFileTest, WrongHeadersAreErrors) {
  write("[]", "");
  EXPECT_THAT(error(), HasSubstr("corrupt tensor file: the header: it is not an object"));
  write("{", "");
  EXPECT_THAT(error(), HasSubstr("corrupt tensor file: the header: "));
  write(R"({"__metadata__":{"checksum":1}})", "");
  EXPECT_THAT(error(), HasSubstr("corrupt tensor file: the metadata: "));
  write(R"({"__metadata__":{"espalier":"{}"}})", "");
  EXPECT_THAT(error(), HasSubstr("corrupt tensor file: the metadata: it has no checksum"));
  const auto entry_error = [&](const std::string& entry) {
    write("{\"a\":" + entry + "}", "wxyz");
    return error();
  };
  EXPECT_THAT(entry_error(R"({"dtype":"F99","shape":[1],"data_offsets":[0,4]})"),
              HasSubstr("the tensor a: the type \"F99\" is unknown"));
  EXPECT_THAT(entry_error(R"({"dtype":"F32","data_offsets":[0,4]})"), HasSubstr("the tensor a: "));
  EXPECT_THAT(entry_error(R"({"dtype":"U8","shape":[3],"data_offsets":[1,4]})"),
              HasSubstr("the bytes 1 to 4 do not follow byte 0 of 4"));
  EXPECT_THAT(entry_error(R"({"dtype":"U8","shape":[5],"data_offsets":[0,5]})"),
              HasSubstr("the bytes 0 to 5 do not follow byte 0 of 4"));
  EXPECT_THAT(entry_error(R"({"dtype":"F32","shape":[-1],"data_offsets":[0,4]})"),
              HasSubstr("the size -1 of an axis is negative"));
  EXPECT_THAT(entry_error(R"({"dtype":"F32","shape":[2],"data_offsets":[0,4]})"),
              HasSubstr("its shape needs more than its 4 bytes"));
  EXPECT_THAT(
      entry_error(
          R"({"dtype":"U8","shape":[4294967296,4294967296,4294967296],"data_offsets":[0,4]})"),
      HasSubstr("its shape needs more than its 4 bytes"));
  EXPECT_THAT(entry_error(R"({"dtype":"U8","shape":[3],"data_offsets":[0,4]})"),
              HasSubstr("its shape needs 3 bytes, but it has 4"));
}

TEST_F(TensorFileTest, WhatCannotBeWrittenLeavesTheOldFile) {
  write_tensors(path_, {.tensors = {{"a", torch::arange(3)}}, .info = {}});
  const at::Tensor complex = torch::zeros({2}, torch::kComplexFloat);
  EXPECT_THAT(throws<UnsupportedError>([&] {
                write_tensors(path_, {.tensors = {{"c", complex}}, .info = {}});
              }),
              HasSubstr("the tensor c has the type ComplexFloat"));
  EXPECT_TRUE(read_tensors(path_).tensors.contains("a"));
  throws<IoError>([&] { write_tensors(directory_.path() / "no" / "t", {}); });
  throws<IoError>([&] { read_tensors(directory_.path() / "missing"); });
}

}  // namespace
}  // namespace espalier
