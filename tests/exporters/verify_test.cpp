#include "exporters/verify.hpp"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <sys/stat.h>

#include <cmath>
#include <limits>

#include "core/error.hpp"
#include "core/json.hpp"
#include "graph/nets.hpp"
#include "tests/core/throws.hpp"
#include "tests/exporters/modules.hpp"

namespace espalier {
namespace {

using ::testing::HasSubstr;

constexpr double infinity = std::numeric_limits<double>::infinity();

TEST(Verify, DifferenceIsRelativeToTheLargestValue) {
  const at::Tensor expected = at::tensor({1.0, -4.0, 0.0});
  EXPECT_DOUBLE_EQ(relative_difference(expected, at::tensor({1.0, -4.0, 0.0})), 0);
  EXPECT_DOUBLE_EQ(relative_difference(expected, at::tensor({1.0, -4.0, 0.5})), 0.125);
  EXPECT_DOUBLE_EQ(relative_difference(at::zeros({2}), at::zeros({2})), 0);
  EXPECT_EQ(relative_difference(at::zeros({2}), at::ones({2})), infinity);
  EXPECT_EQ(relative_difference(expected, at::tensor({1.0, -4.0})), infinity);
  EXPECT_EQ(relative_difference(expected, at::tensor({1.0, -4.0, std::nan("")})), infinity);
  EXPECT_EQ(relative_difference(at::tensor({infinity}), at::tensor({infinity})), infinity);
}

TEST(Verify, DisagreementSaysHowMuch) {
  const at::Tensor expected = at::tensor({1.0, 2.0});
  EXPECT_NO_THROW(require_agreement("'x'", expected, expected * (1 + 1e-5)));
  EXPECT_THAT(throws<NumericalError>([&] { require_agreement("'x'", expected, expected * 1.25); }),
              HasSubstr("'x' differs by 0.25 of its largest value, where 0.0001 is allowed"));
}

TEST(Verify, AGoodFileTakesThePlace) {
  const TemporaryFile file("good");
  write_file_atomically(file.path(), "old");
  std::filesystem::path written;
  write_verified(
      file.path(),
      [&](const auto& path) {
        written = path;
        write_file_atomically(path, "new");
      },
      [&](const auto& path) { EXPECT_EQ(read_file(path), "new"); });
  EXPECT_EQ(read_file(file.path()), "new");
  EXPECT_NE(written, file.path());
  EXPECT_FALSE(std::filesystem::exists(written));
}

TEST(Verify, ABadFileIsRemovedAndTheOldOneStays) {
  const TemporaryFile file("bad");
  std::filesystem::path written;
  const auto write = [&](const auto& path) {
    written = path;
    write_file_atomically(path, "new");
  };
  const auto refuse = [](const auto&) { throw NumericalError("it disagrees"); };
  throws<NumericalError>([&] { write_verified(file.path(), write, refuse); });
  EXPECT_FALSE(file.exists());
  EXPECT_FALSE(std::filesystem::exists(written));
  write_file_atomically(file.path(), "old");
  throws<NumericalError>([&] { write_verified(file.path(), write, refuse); });
  EXPECT_EQ(read_file(file.path()), "old");
  EXPECT_FALSE(std::filesystem::exists(written));
}

TEST(Verify, APlaceThatCannotBeTakenIsAnIoError) {
  const TemporaryFile file("directory");
  std::filesystem::create_directories(file.path() / "inside");
  throws<IoError>([&] {
    write_verified(
        file.path(), [](const auto& path) { write_file_atomically(path, "new"); },
        [](const auto&) {});
  });
  std::filesystem::remove_all(file.path());
}

TEST(Verify, LinksAreFollowedAndPipesStay) {
  const TemporaryFile file("target"), link("link"), pipe("pipe");
  const auto write = [](const auto& path) { write_file_atomically(path, "new"); };
  const auto accept = [](const auto&) {};
  std::filesystem::create_symlink(file.path(), link.path());
  write_verified(link.path(), write, accept);
  EXPECT_TRUE(std::filesystem::is_symlink(link.path()));
  EXPECT_EQ(read_file(file.path()), "new");
  ASSERT_EQ(::mkfifo(pipe.path().c_str(), 0600), 0);
  EXPECT_THAT(throws<IoError>([&] { write_verified(pipe.path(), write, accept); }),
              HasSubstr("is not a regular file"));
  EXPECT_TRUE(std::filesystem::is_fifo(pipe.path()));
}

TEST(Verify, TheBatchIsTheSameEachTime) {
  const Graph graph = mobilenet_v3_small({.input = {1, 28, 28}, .classes = 10});
  const at::Tensor batch = verification_batch(graph, 3);
  EXPECT_EQ(batch.sizes(), (std::vector<std::int64_t>{3, 1, 28, 28}));
  EXPECT_TRUE(batch.equal(verification_batch(graph, 3)));
  EXPECT_NEAR(batch.mean().item<double>(), 0, 0.1);
  EXPECT_NEAR(batch.std().item<double>(), 1, 0.1);
}

TEST(Verify, TheCopyIsInEvaluationModeAndLeavesTheModuleAlone) {
  GraphBuilder b;
  b.output(b.dropout(b.batch_norm(b.input(3, 4, 4)), 0.5f));
  GraphModule module(b.build(), {.dtype = at::kDouble});
  randomize(module, Rng(1));
  GraphModule copy = verification_copy(module);
  EXPECT_FALSE(copy.training());
  EXPECT_TRUE(module.training());
  EXPECT_EQ(module.options().dtype, at::kDouble);
  const at::Tensor x = verification_batch(copy.graph(), 2);
  module.eval();
  EXPECT_LT(relative_difference(module.forward(x.to(at::kDouble)), copy.forward(x)), 1e-6);
}

}  // namespace
}  // namespace espalier
