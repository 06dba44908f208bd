#include "graph/graph.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "core/error.hpp"
#include "tests/graph/test_graphs.hpp"

namespace espalier {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::ThrowsMessage;

Shape infer(const Op& op, std::vector<Shape> inputs) { return infer_shape(op, inputs, "node"); }

/// Places of a window of `kernel` values, `dilation` apart, on a padded line, by trying them all.
std::int64_t count_windows(std::int64_t size, std::int64_t kernel, std::int64_t stride,
                           std::int64_t padding, std::int64_t dilation, bool ceil_mode) {
  const std::int64_t reach = dilation * (kernel - 1);
  std::int64_t count = 0;
  for (std::int64_t start = -padding;; start += stride) {
    const bool fits = start + reach < size + padding;
    // In ceil mode one more window may hang over the end, if it starts on the input or before it.
    const bool before_fits = start - stride + reach < size + padding - 1;
    if (!fits && !(ceil_mode && count > 0 && before_fits && start < size)) return count;
    ++count;
  }
}

TEST(ShapeInference, WindowsAgreeWithCounting) {
  for (std::int64_t size = 1; size <= 9; ++size) {
    for (std::int64_t kernel = 1; kernel <= 4; ++kernel) {
      for (std::int64_t stride = 1; stride <= 3; ++stride) {
        for (std::int64_t padding = 0; padding <= 2; ++padding) {
          for (std::int64_t dilation = 1; dilation <= 2; ++dilation) {
            const std::int64_t count =
                count_windows(size, kernel, stride, padding, dilation, false);
            const op::Conv2d conv{.out_channels = 5,
                                  .kernel = {kernel, 1},
                                  .stride = {stride, 1},
                                  .padding = {padding, 0},
                                  .dilation = {dilation, 1}};
            if (count < 1) {
              EXPECT_THROW(infer(conv, {{3, size, 4}}), ShapeError);
            } else {
              EXPECT_EQ(infer(conv, {{3, size, 4}}), Shape({5, count, 4}));
            }
          }
          if (2 * padding > kernel) continue;
          for (bool ceil_mode : {false, true}) {
            const std::int64_t count = count_windows(size, kernel, stride, padding, 1, ceil_mode);
            const op::Pool2d pool{.kernel = {1, kernel},
                                  .stride = {1, stride},
                                  .padding = {0, padding},
                                  .ceil_mode = ceil_mode};
            if (count < 1) {
              EXPECT_THROW(infer(pool, {{3, 4, size}}), ShapeError);
            } else {
              EXPECT_EQ(infer(pool, {{3, 4, size}}), Shape({3, 4, count}))
                  << size << ' ' << kernel << ' ' << stride << ' ' << padding << ' ' << ceil_mode;
            }
          }
        }
        EXPECT_EQ(infer(op::Zero{stride}, {{3, size, 7}}),
                  Shape({3, count_windows(size, 1, stride, 0, 1, false),
                         count_windows(7, 1, stride, 0, 1, false)}));
      }
    }
  }
}

TEST(ShapeInference, OtherOperators) {
  const Shape x{4, 6, 5};
  EXPECT_EQ(infer(op::Input{3, 8, 9}, {}), Shape({3, 8, 9}));
  EXPECT_EQ(infer(op::Conv2d{.group_width = 1}, {x}), x);
  EXPECT_EQ(infer(op::Conv2d{.out_channels = 6, .group_width = 2}, {x}), Shape({6, 6, 5}));
  const Dim groups = Dim::select(0, std::array{Dim(0), Dim(2), Dim(4)});
  EXPECT_EQ(infer(op::Conv2d{.out_channels = 6, .group_width = groups}, {x}), Shape({6, 6, 5}));
  EXPECT_EQ(infer(op::BatchNorm2d{}, {x}), x);
  EXPECT_EQ(infer(op::Linear{7}, {{4}}), Shape({7}));
  EXPECT_EQ(infer(op::Linear{7}, {{9, 4}}), Shape({9, 7}));
  EXPECT_EQ(infer(op::Activation{}, {{9, 4}}), Shape({9, 4}));
  EXPECT_EQ(infer(op::GlobalAvgPool{}, {x}), Shape({4, 1, 1}));
  EXPECT_EQ(infer(op::Flatten{}, {x}), Shape({120}));
  EXPECT_EQ(infer(op::Add{}, {x, x, x}), x);
  EXPECT_EQ(infer(op::Multiply{}, {x, x}), x);
  EXPECT_EQ(infer(op::Multiply{}, {x, {4, 1, 1}}), x);
  EXPECT_EQ(infer(op::Concat{}, {x, {3, 6, 5}, x}), Shape({11, 6, 5}));
  EXPECT_EQ(infer(op::Dropout{0}, {x}), x);
  EXPECT_EQ(infer(op::Zero{}, {{7}}), Shape({7}));
  EXPECT_EQ(infer(op::Choice{0, 2}, {x, x, x}), x);
  EXPECT_EQ(infer(op::Choice{3, 1}, {x, {2, 6, 5}}),
            Shape({Dim::select(3, std::array{Dim(4), Dim(2)}), 6, 5}));
  EXPECT_EQ(infer(op::Slice{0, 1, 3}, {x}), Shape({2, 6, 5}));
  EXPECT_EQ(infer(op::Slice{2, 1, 0}, {x}), Shape({4, 6, 4}));
  EXPECT_EQ(infer(op::Slice{0, 2, 9}, {{9, 4}}), Shape({7, 4}));
  EXPECT_EQ(infer(op::Slice{0, 3, 0}, {{9}}), Shape({6}));
  EXPECT_EQ(infer(op::Slice{1, 1, 3}, {{9, 4}}), Shape({9, 2}));
  EXPECT_EQ(infer(op::ChannelShuffle{2}, {x}), x);
  EXPECT_EQ(infer(op::LayerNorm{}, {{9, 4}}), Shape({9, 4}));
  EXPECT_EQ(infer(op::Scale{}, {x}), x);
  EXPECT_EQ(infer(op::Tokens{}, {x}), Shape({30, 4}));
  EXPECT_EQ(infer(op::ClassToken{}, {{9, 4}}), Shape({10, 4}));
  EXPECT_EQ(infer(op::PositionEmbedding{}, {{9, 4}}), Shape({9, 4}));
  EXPECT_EQ(infer(op::Attention{2}, {{9, 4}, {9, 4}, {9, 4}}), Shape({9, 4}));
  EXPECT_EQ(infer(op::Flatten{}, {{9, 4}}), Shape({36}));
  EXPECT_EQ(infer(op::DeformConv2d{.out_channels = 6}, {x, {36, 6, 5}}), Shape({6, 6, 5}));
  EXPECT_EQ(infer(op::DeformConv2d{.out_channels = 6, .stride = 2}, {x, {18, 3, 3}, {9, 3, 3}}),
            Shape({6, 3, 3}));
  EXPECT_EQ(infer(op::Output{}, {x}), x);
  EXPECT_EQ(Shape({4, 6, 5}).elements(), 120);
  EXPECT_EQ(Shape({4, 6, 5}).to_string(), "{4, 6, 5}");
}

TEST(ShapeInference, OpenShapesCloseToConcreteOnes) {
  const Dim size = Dim::select(0, std::array{Dim(7), Dim(12)});
  const Dim kernel = Dim::select(1, std::array{Dim(1), Dim(3), Dim(5)});
  const Dim stride = Dim::select(2, std::array{Dim(1), Dim(2)});
  const Dim width = Dim::select(3, std::array{Dim(4), Dim(6)});
  const Dim padding = map([](std::int64_t k) { return k / 2; }, kernel);
  Graph graph;
  const auto x = graph.add(op::Input{3, size, 10}, {}, "x");
  const auto conv = graph.add(
      op::Conv2d{
          .out_channels = width, .kernel = {kernel, 3}, .stride = stride, .padding = {padding, 1}},
      std::array{x}, "conv");
  const auto pool =
      graph.add(op::Pool2d{.kernel = 3, .stride = stride, .padding = 1, .ceil_mode = true},
                std::array{conv}, "pool");
  const auto zero = graph.add(op::Zero{stride}, std::array{conv}, "zero");
  const auto grouped =
      graph.add(op::Conv2d{.out_channels = width, .group_width = 2}, std::array{pool}, "grouped");
  const auto both = graph.add(op::Concat{}, std::array{pool, grouped}, "concat");
  const auto flat = graph.add(op::Flatten{}, std::array{both}, "flatten");
  graph.add(op::Flatten{}, std::array{zero}, "flat_zero");
  graph.add(op::Output{}, std::array{flat}, "output");
  EXPECT_FALSE(graph.concrete());
  for (std::uint32_t a = 0; a < 2 * 3 * 2 * 2; ++a) {
    const std::array<std::uint32_t, 4> choices{a % 2, a / 2 % 3, a / 6 % 2, a / 12};
    const Graph small = closed(graph, choices);
    EXPECT_TRUE(small.concrete());
    for (NodeId i = 0; i < graph.size(); ++i) {
      Shape shape = graph.node(i).shape;
      for (std::size_t k = 0; k < shape.rank; ++k) shape[k] = shape[k].at(choices);
      EXPECT_EQ(shape, small.node(i).shape);
    }
    verify(small);
  }
  verify(graph);
}

TEST(ShapeInference, Throws) {
  const Shape x{4, 6, 5}, flat{4};
  const Dim open = Dim::select(0, std::array{Dim(4), Dim(6)});
  const Dim other = Dim::select(1, std::array{Dim(4), Dim(6)});
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinity = std::numeric_limits<float>::infinity();
  constexpr std::int64_t most = max_attribute;
  struct Case {
    Op op;
    std::vector<Shape> inputs;
    std::string text;
  };
  const Case cases[] = {
      {op::Input{0, 2, 2}, {}, "channels must be at least 1, got 0"},
      {op::Input{2, 0, 2}, {}, "height must be at least 1"},
      {op::Input{2, 2, -1}, {}, "width must be 0 to 1048576, got -1"},
      {op::Input{2, 2, 2}, {x}, "takes 0 inputs, got 1"},
      {op::Input{most + 1, 2, 2}, {}, "channels must be 0 to 1048576, got 1048577"},
      {op::Input{most, most, 1}, {}, "{1048576, 1048576, 1} has more than 2147483648 values"},
      {op::Conv2d{.out_channels = 0}, {x}, "out_channels must be at least 1, got 0"},
      {op::Conv2d{.out_channels = 4}, {flat}, "needs an input of shape {C, H, W}, got {4}"},
      {op::Conv2d{.out_channels = 4}, {}, "takes 1 inputs, got 0"},
      {op::Conv2d{.out_channels = 4, .kernel = 7}, {x}, "kernel 7x7 does not fit"},
      {op::Conv2d{.out_channels = 4, .kernel = 0}, {x}, "kernel must be at least 1"},
      {op::Conv2d{.out_channels = 4, .stride = {1, 0}}, {x}, "stride must be at least 1"},
      {op::Conv2d{.out_channels = 4, .dilation = {0, 1}}, {x}, "dilation must be at least 1"},
      {op::Conv2d{.out_channels = 4, .padding = {0, -1}}, {x}, "padding_w must be 0 to"},
      {op::Conv2d{.out_channels = 4, .group_width = -2}, {x}, "group_width must be 0 to"},
      {op::Conv2d{.out_channels = 4, .group_width = Dim::select(0, std::array{Dim(0), Dim(1)})},
       {x},
       "an open group_width cannot be 1"},
      {op::Conv2d{.out_channels = 4, .group_width = open}, {x}, "fit neither"},
      {op::DeformConv2d{.out_channels = 4,
                        .group_width = Dim::select(0, std::array{Dim(0), Dim(2)})},
       {x, {2, 6, 5}},
       "group_width cannot be open"},
      {op::Conv2d{.out_channels = 4, .group_width = 1}, {x}, "set out_channels to 0, not 4"},
      {op::Conv2d{.out_channels = 4, .group_width = 3}, {x}, "groups of 3 channels fit neither"},
      {op::Conv2d{.out_channels = 3, .group_width = 2}, {x}, "nor 3 output channels"},
      {op::Conv2d{.out_channels = most, .kernel = 16, .padding = 16},
       {{most, 4, 4}},
       "more than 17592186044416 multiply-accumulates"},
      {op::BatchNorm2d{}, {flat}, "{C, H, W}"},
      {op::BatchNorm2d{.eps = 0}, {x}, "eps must be positive, got 0"},
      {op::BatchNorm2d{.eps = nan}, {x}, "eps must be positive, got nan"},
      {op::BatchNorm2d{.eps = infinity}, {x}, "eps must be positive, got inf"},
      {op::BatchNorm2d{.momentum = nan}, {x}, "momentum must be 0 to 1, got nan"},
      {op::BatchNorm2d{.momentum = 1.5f}, {x}, "momentum must be 0 to 1, got 1.5"},
      {op::Slice{3, 0, 1}, {x}, "axis 3 of {4, 6, 5} cannot be cut"},
      {op::Slice{2, 0, 1}, {{9, 4}}, "axis 2 of {9, 4} cannot be cut"},
      {op::Slice{open, 0, 1}, {x}, "cannot be cut"},
      {op::Slice{0, 2, 2}, {x}, "[2, 2) is not a part of axis 0 of {4, 6, 5}"},
      {op::Slice{1, 0, 7}, {x}, "[0, 7) is not a part of axis 1"},
      {op::ChannelShuffle{3}, {x}, "the channels of {4, 6, 5} cannot be divided into groups 3"},
      {op::ChannelShuffle{0}, {x}, "groups must be at least 1"},
      {op::ChannelShuffle{2}, {flat}, "needs an input of shape {C, H, W}"},
      {op::LayerNorm{.eps = 0}, {x}, "eps must be positive"},
      {op::Scale{nan}, {x}, "initial must be finite"},
      {op::Tokens{}, {flat}, "needs an input of shape {C, H, W}"},
      {op::ClassToken{}, {x}, "needs an input of shape {tokens, channels}, got {4, 6, 5}"},
      {op::PositionEmbedding{}, {x}, "needs an input of shape {tokens, channels}"},
      {op::PositionEmbedding{}, {{open, 4}}, "the number of tokens cannot be open"},
      {op::Attention{}, {x, x, x}, "needs an input of shape {tokens, channels}"},
      {op::Attention{3}, {{9, 4}, {9, 4}, {9, 4}}, "cannot be divided into heads of a width of 3"},
      {op::Attention{2}, {{9, 4}, {9, 4}, {8, 4}}, "needs inputs of equal shape"},
      {op::Attention{2}, {{9, 4}}, "takes 3 inputs, got 1"},
      {op::Attention{0}, {{9, 4}, {9, 4}, {9, 4}}, "head_width must be at least 1"},
      {op::Attention{1}, {{most, most / 2}, {most, most / 2}, {most, most / 2}}, "more than"},
      {op::DeformConv2d{.out_channels = 6}, {x}, "takes 2 inputs, got 1"},
      {op::DeformConv2d{.out_channels = 6, .kernel = open}, {x, {18, 6, 5}}, "kernel cannot be"},
      {op::DeformConv2d{.out_channels = 6}, {x, {17, 6, 5}}, "needs offsets of shape {18 D, 6, 5}"},
      {op::DeformConv2d{.out_channels = 6}, {x, {18, 5, 5}}, "got {18, 5, 5}"},
      {op::DeformConv2d{.out_channels = 6}, {x, {54, 6, 5}}, "be divided into offset groups 3"},
      {op::DeformConv2d{.out_channels = 6}, {x, {18, 6, 5}, {8, 6, 5}}, "factors of shape {9, 6"},
      {op::Linear{4}, {x}, "got {4, 6, 5}; flatten it first"},
      {op::Linear{0}, {flat}, "out_features must be at least 1"},
      {op::Linear{most}, {{std::int64_t{1} << 30}}, "multiply-accumulates"},
      {op::Activation{}, {x, x}, "takes 1 inputs, got 2"},
      {op::Pool2d{.kernel = 3, .padding = 2}, {x}, "padding must be at most half of the kernel"},
      {op::Pool2d{.kernel = 6}, {x}, "kernel 6x6 does not fit into the input {4, 6, 5}"},
      {op::Pool2d{}, {flat}, "{C, H, W}"},
      {op::GlobalAvgPool{}, {flat}, "{C, H, W}"},
      {op::Flatten{}, {flat}, "{C, H, W}"},
      {op::Add{}, {}, "needs at least one input"},
      {op::Add{}, {x, flat}, "needs inputs of equal shape, got {4, 6, 5} and {4}"},
      {op::Add{}, {{open, 6, 5}, {other, 6, 5}}, "got {d0{4|6}, 6, 5} and {d1{4|6}, 6, 5}"},
      {op::Multiply{}, {x}, "takes 2 inputs, got 1"},
      {op::Multiply{}, {{4, 1, 1}, x}, "got {4, 1, 1} and {4, 6, 5}"},
      {op::Multiply{}, {x, {3, 1, 1}}, "{C, H, W} and {C, 1, 1}"},
      {op::Concat{}, {}, "needs at least one input"},
      {op::Concat{}, {x, {4, 5, 5}}, "equal height and width"},
      {op::Concat{}, {x, flat}, "{C, H, W}"},
      {op::Dropout{1}, {x}, "probability must be in [0, 1), got 1"},
      {op::Dropout{-0.5f}, {x}, "probability must be in [0, 1)"},
      {op::Dropout{nan}, {x}, "probability must be in [0, 1), got nan"},
      {op::Zero{0}, {x}, "stride must be at least 1"},
      {op::Zero{2}, {flat}, "{C, H, W}"},
      {op::Choice{0, 0}, {x}, "picks 0 of 1 inputs"},
      {op::Choice{0, 2}, {x}, "picks 2 of 1 inputs"},
      {op::Choice{0, 1}, {}, "picks 1 of 0 inputs"},
      {op::Choice{0, 1}, {x, flat}, "needs inputs of equal rank"},
      {op::Choice{0, 2}, {x, {3, 6, 5}, x}, "needs inputs of equal shape"},
      {op::Output{}, {}, "takes 1 inputs, got 0"},
  };
  for (const Case& c : cases) {
    EXPECT_THAT([&] { infer(c.op, c.inputs); },
                ThrowsMessage<ShapeError>(
                    AllOf(HasSubstr(std::string(op_name(c.op)) + " 'node': "), HasSubstr(c.text))))
        << op_name(c.op);
  }
  EXPECT_THROW((void)Shape({open}).elements(), InvalidArchitecture);
}

class GraphTest : public testing::Test {
 protected:
  Graph graph_;
  NodeId input_ = graph_.add(op::Input{3, 8, 8}, {}, "input");
};

TEST_F(GraphTest, NamesAndScopesAreUnique) {
  const auto a = graph_.add(op::Activation{}, std::array{input_}, "act");
  const auto b = graph_.add(op::Activation{}, std::array{input_}, "act");
  const auto c = graph_.add(op::Activation{}, std::array{input_}, "act");
  EXPECT_EQ(graph_.name(a), "act");
  EXPECT_EQ(graph_.name(b), "act_2");
  EXPECT_EQ(graph_.name(c), "act_3");
  const ScopeId s = graph_.add_scope("s", "kind", no_scope, {{"width", 4}});
  const ScopeId t = graph_.add_scope("s", "kind", no_scope);
  const ScopeId u = graph_.add_scope("s", "kind", s);
  EXPECT_EQ(graph_.scope(s).name, "s");
  EXPECT_EQ(graph_.scope(t).name, "s_2");
  EXPECT_EQ(graph_.scope(u).name, "s.s");
  EXPECT_EQ(graph_.scope(u).parent, s);
  EXPECT_EQ(graph_.scope_attribute(s, "width"), 4);
  EXPECT_EQ(graph_.scope_attribute(s, "depth"), std::nullopt);
}

TEST_F(GraphTest, CopiesDoNotShareWhatIsAddedLater) {
  Graph copy = graph_;
  graph_.add(op::Activation{}, std::array{input_}, "act");
  const auto b = copy.add(op::Dropout{}, std::array{input_}, "act");
  EXPECT_EQ(copy.name(b), "act");
  EXPECT_EQ(graph_.size(), 2u);
}

TEST_F(GraphTest, LikeSharesNamesAndClosesScopeAttributes) {
  const Dim width = Dim::select(1, std::array{Dim(4), Dim(6)});
  const ScopeId s = graph_.add_scope("s", "kind", no_scope, {{"width", width}, {"kernel", 3}});
  EXPECT_THROW((void)graph_.scope_attribute(s, "width"), InvalidArchitecture);
  const Graph small = Graph::like(graph_, std::array{0u, 1u});
  EXPECT_EQ(small.size(), 0u);
  EXPECT_EQ(small.scope_attribute(s, "width"), 6);
  EXPECT_THAT(small.scope_attributes(s),
              ElementsAre(std::pair<std::string, std::int64_t>("width", 6),
                          std::pair<std::string, std::int64_t>("kernel", 3)));
  EXPECT_EQ(Graph::like(small).scope_attribute(s, "width"), 6);
}

TEST_F(GraphTest, ConsumersAreListedWithRepetition) {
  const auto a = graph_.add(op::Activation{}, std::array{input_}, "a");
  const auto sum = graph_.add(op::Add{}, std::array{a, input_, a}, "sum");
  graph_.add(op::Output{}, std::array{sum}, "output");
  const auto consumers = graph_.consumers();
  EXPECT_THAT(consumers[input_], ElementsAre(a, sum));
  EXPECT_THAT(consumers[a], ElementsAre(sum, sum));
  EXPECT_THAT(consumers[sum], ElementsAre(3u));
  EXPECT_TRUE(consumers[3].empty());
  EXPECT_EQ(graph_.input(), input_);
  EXPECT_EQ(graph_.output(), 3u);
  EXPECT_TRUE(graph_.concrete());
}

TEST_F(GraphTest, OpenDimsChoicesAndBitsAreNotConcrete) {
  const Dim open = Dim::select(0, std::array{Dim(4), Dim(8)});
  Graph bits = graph_;
  bits.add(op::Conv2d{.out_channels = 4}, std::array{input_}, "conv", no_scope,
           {Quantization{open, 8}});
  EXPECT_FALSE(bits.concrete());
  Graph choice = graph_;
  choice.add(op::Choice{0, 1}, std::array{input_, input_}, "choice");
  EXPECT_FALSE(choice.concrete());
  Graph width = graph_;
  width.add(op::Conv2d{.out_channels = open}, std::array{input_}, "conv");
  EXPECT_FALSE(width.concrete());
}

TEST_F(GraphTest, AddThrows) {
  EXPECT_THAT([&] { graph_.add(op::Activation{}, std::array{NodeId{1}}, "act"); },
              ThrowsMessage<ShapeError>(
                  HasSubstr("activation 'act': input 1 does not exist: the graph has 1 nodes")));
  EXPECT_THAT([&] { graph_.add(op::Activation{}, std::array{input_}, "act", 1); },
              ThrowsMessage<ShapeError>(HasSubstr("scope 1 does not exist")));
  EXPECT_THAT(
      [&] {
        graph_.add(op::Activation{}, std::array{input_}, "act", no_scope, {Quantization{8, 8}});
      },
      ThrowsMessage<ShapeError>(HasSubstr("only conv2d and linear can be quantized")));
  for (const Quantization q : {Quantization{1, 8}, Quantization{9, 8}, Quantization{8, 0},
                               Quantization{8, Dim::select(0, std::array{Dim(8), Dim(16)})}}) {
    EXPECT_THAT(
        [&] {
          graph_.add(op::Conv2d{.out_channels = 1}, std::array{input_}, "conv", no_scope, {q});
        },
        ThrowsMessage<ShapeError>(HasSubstr("bits must be 2 to 8, or 32 for float")));
  }
  EXPECT_THAT([&] { graph_.add_scope("s", "", 7); },
              ThrowsMessage<ShapeError>(HasSubstr("its parent 7 does not exist")));
  EXPECT_EQ(graph_.size(), 1u);  // a failed add() leaves the graph as it was
}

TEST_F(GraphTest, InputAndOutputThrow) {
  EXPECT_THAT([] { (void)Graph().input(); }, ThrowsMessage<ShapeError>(HasSubstr("no input node")));
  EXPECT_THAT([&] { (void)graph_.output(); },
              ThrowsMessage<ShapeError>(HasSubstr("no output node at its end")));
}

TEST_F(GraphTest, VerifyThrows) {
  const auto act = graph_.add(op::Activation{}, std::array{input_}, "act");
  const NameId act_name = graph_.node(act).name;
  const Shape shape{3, 8, 8};
  const auto with = [&](auto&& change, bool output = true) {
    Graph g = graph_;
    change(g);
    if (output) g.add(op::Output{}, std::array{input_}, "output");
    return [g] { verify(g); };
  };
  EXPECT_NO_THROW(with([](Graph&) {})());
  EXPECT_THAT(with([&](Graph& g) {
                g.add_trusted(op::Activation{}, std::array{NodeId{2}}, act_name, no_scope, {},
                              shape);
              }),
              ThrowsMessage<ShapeError>(HasSubstr("reads node 2, which does not come before it")));
  EXPECT_THAT(
      with([&](Graph& g) {
        g.add_trusted(op::Activation{}, std::array{input_}, act_name, no_scope, {}, {3, 8, 7});
      }),
      ThrowsMessage<ShapeError>(HasSubstr("has the shape {3, 8, 7}, expected {3, 8, 8}")));
  EXPECT_THAT(with([&](Graph& g) {
                g.add_trusted(op::Activation{}, std::array{input_}, act_name, no_scope, {}, shape);
              }),
              ThrowsMessage<ShapeError>(HasSubstr("the name is used twice")));
  EXPECT_THAT(with([](Graph& g) { g.add(op::Output{}, std::array{NodeId{1}}, "early"); }),
              ThrowsMessage<ShapeError>(HasSubstr("one output, its last node")));
  EXPECT_THAT(with([](Graph&) {}, false),
              ThrowsMessage<ShapeError>(HasSubstr("one output, its last node")));
  EXPECT_THAT([] { verify(Graph()); }, ThrowsMessage<ShapeError>(HasSubstr("no input node")));
  EXPECT_THAT(with([](Graph& g) {
                g.add(op::Choice{4, 1}, std::array{NodeId{0}, NodeId{1}}, "two");
                g.add(op::Choice{4, 1}, std::array{NodeId{0}, NodeId{1}, NodeId{1}}, "three");
              }),
              ThrowsMessage<ShapeError>(HasSubstr("2 options elsewhere and 3 here")));
  const auto trusted = [&](ScopeId scope, const Compression& compression) {
    Graph g;
    g.add(op::Input{3, 8, 8}, {}, "input");
    const NameId name = g.node(g.add(op::Activation{}, std::array{NodeId{0}}, "spare")).name;
    Graph copy = Graph::like(g);
    copy.add_trusted(g.node(0).op, {}, g.node(0).name, no_scope, {}, shape);
    copy.add_trusted(op::Activation{}, std::array{NodeId{0}}, name, scope, compression, shape);
    copy.add(op::Output{}, std::array{NodeId{1}}, "output");
    return [copy] { verify(copy); };
  };
  EXPECT_NO_THROW(trusted(no_scope, {})());
  EXPECT_THAT(trusted(3, {}), ThrowsMessage<ShapeError>(HasSubstr("its scope does not exist")));
  EXPECT_THAT(trusted(no_scope, {Quantization{8, 8}}),
              ThrowsMessage<ShapeError>(HasSubstr("only conv2d and linear")));
}

TEST_F(GraphTest, ErrorsUseTheNamesOfDecisions) {
  graph_.set_decision_names({"stage1.width", "stage2.width"});
  const auto conv = [&](DecisionId d) {
    return graph_.add(op::Conv2d{.out_channels = Dim::select(d, std::array{Dim(4), Dim(8)})},
                      std::array{input_}, "conv");
  };
  const auto a = conv(0), b = conv(1);
  EXPECT_THAT(
      [&] {
        graph_.add(op::Add{}, std::array{a, b}, "sum");
      },
      ThrowsMessage<ShapeError>(
          AllOf(HasSubstr("{stage1.width{4|8}, 8, 8}"), HasSubstr("{stage2.width{4|8}, 8, 8}"))));
}

}  // namespace
}  // namespace espalier
