#include "nets/program.hpp"

#include <ATen/ATen.h>
#include <torch/autograd.h>
#include <torch/csrc/autograd/functions/utils.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "core/error.hpp"

namespace espalier {
namespace {

struct Step {
  NodeId node = 0;
  std::vector<NodeId> inputs = {};
  std::vector<NodeId> dead = {};  // inputs that nothing reads later
  bool copy = false;              // the same operator of the same input as its only input
  // What follows counts where nobody observes the nodes.
  bool unread_zero = false;                         // only read by additions of something else
  std::optional<NodeId> activation = std::nullopt;  // computed with this batch norm in one pass
};

/// Steps that are recomputed together.
struct Segment {
  std::size_t begin = 0, end = 0;
  std::vector<NodeId> inputs = {};   // made before, read within
  std::vector<NodeId> outputs = {};  // made within, read later
};

/// Whether an operator's output depends on its input alone.
bool pure(const Node& node) {
  const bool simple = std::holds_alternative<op::Activation>(node.op) ||
                      std::holds_alternative<op::Pool2d>(node.op) ||
                      std::holds_alternative<op::GlobalAvgPool>(node.op);
  return simple && !node.compression.quantization;
}

std::vector<Step> make_steps(const Graph& graph) {
  // Cells often apply one operator to one node on several edges: it is computed once.
  std::map<NodeId, std::vector<NodeId>> pure_readers;
  std::vector<std::vector<NodeId>> inputs(graph.size());
  std::vector<bool> copies(graph.size());
  for (NodeId id = 0; id <= graph.output(); ++id) {
    const auto own = graph.inputs(id);
    inputs[id].assign(own.begin(), own.end());
    if (!pure(graph.node(id))) continue;
    std::vector<NodeId>& known = pure_readers[own[0]];
    const auto same = std::ranges::find_if(
        known, [&](NodeId other) { return graph.node(other).op == graph.node(id).op; });
    if (same == known.end()) {
      known.push_back(id);
    } else {
      inputs[id] = {*same};
      copies[id] = true;
    }
  }

  std::vector<Step> steps;
  std::vector<std::vector<NodeId>> readers(graph.size());
  for (NodeId id = graph.output() + 1; id-- > 0;) {
    if (id != graph.output() && readers[id].empty()) continue;
    Step step{.node = id, .inputs = inputs[id], .copy = copies[id]};
    for (NodeId input : inputs[id]) {
      if (readers[input].empty()) step.dead.push_back(input);
      if (std::ranges::find(readers[input], id) == readers[input].end()) {
        readers[input].push_back(id);
      }
    }
    steps.push_back(std::move(step));
  }
  std::reverse(steps.begin(), steps.end());

  const auto is_zero = [&](NodeId id) {
    return std::holds_alternative<op::Zero>(graph.node(id).op);
  };
  const auto ignores_zeros = [&](NodeId id) {
    return std::holds_alternative<op::Add>(graph.node(id).op) &&
           !std::ranges::all_of(inputs[id], is_zero);
  };
  for (Step& step : steps) {
    const std::vector<NodeId>& read_by = readers[step.node];
    step.unread_zero = is_zero(step.node) && std::ranges::all_of(read_by, ignores_zeros);
    if (!std::holds_alternative<op::BatchNorm2d>(graph.node(step.node).op)) continue;
    if (read_by.size() == 1 && joins_batch_norm(graph.node(read_by[0]).op)) {
      step.activation = read_by[0];
    }
  }
  return steps;
}

/// Where runs of about equally many values end, each at the place nearby where the fewest are in
/// use.
std::vector<std::size_t> segment_ends(const Graph& graph, const std::vector<Step>& steps) {
  const auto elements = [&](NodeId id) { return graph.node(id).shape.elements(); };
  std::int64_t total = 0;
  for (const Step& step : steps) total += elements(step.node);
  const auto share =
      total / static_cast<std::int64_t>(std::max(1.0, std::round(std::sqrt(double(steps.size())))));
  std::vector<std::size_t> ends;
  std::int64_t in_use = 0, in_run = 0, after_cut = 0, fewest = 0;
  std::size_t cut = 0;    // the best place for an end so far; 0: none
  std::size_t early = 0;  // activations that are there before their steps
  std::vector<bool> joined(graph.size());
  for (std::size_t i = 0; i + 1 < steps.size(); ++i) {
    const std::int64_t own = elements(steps[i].node);
    in_use += own;
    in_run += own;
    after_cut += own;
    for (const NodeId id : steps[i].dead) in_use -= elements(id);
    if (joined[steps[i].node]) --early;
    if (steps[i].activation) {
      joined[*steps[i].activation] = true;
      ++early;
    }
    if (early == 0 && in_run >= share / 2 && (cut == 0 || in_use < fewest)) {
      cut = i + 1;
      fewest = in_use;
      after_cut = 0;
    }
    if (cut == 0 || in_run < share) continue;
    ends.push_back(cut);
    cut = 0;
    in_run = after_cut;
  }
  ends.push_back(steps.size());
  return ends;
}

std::vector<Segment> make_segments(const Graph& graph, const std::vector<Step>& steps) {
  std::vector<Segment> segments;
  std::vector<std::size_t> made_in(graph.size());
  std::size_t begin = 0;
  for (const std::size_t end : segment_ends(graph, steps)) {
    Segment segment{.begin = begin, .end = end};
    for (std::size_t i = begin; i < end; ++i) {
      made_in[steps[i].node] = segments.size();
      for (const NodeId input : steps[i].inputs) {
        const std::size_t source = made_in[input];
        if (source == segments.size()) continue;
        const auto add = [input](std::vector<NodeId>& to) {
          if (std::ranges::find(to, input) == to.end()) to.push_back(input);
        };
        add(segment.inputs);
        add(segments[source].outputs);
      }
    }
    segments.push_back(std::move(segment));
    begin = end;
  }
  segments.back().outputs.push_back(graph.output());
  return segments;
}

}  // namespace

struct Program::Code {
  explicit Code(Graph given) : graph(std::move(given)), steps(make_steps(graph)) {}

  /// Runs some steps: `values` has one entry per node, with what they read.
  void run(std::size_t begin, std::size_t end, std::vector<at::Tensor>& values, const at::Tensor& x,
           std::span<const OpTensors> tensors, const RunMode& mode,
           const NodeObserver& observer = {}, Observed observed = Observed::every_node) const {
    std::vector<at::Tensor> inputs;
    for (std::size_t i = begin; i < end; ++i) {
      const Step& step = steps[i];
      const Node& node = graph.node(step.node);
      at::Tensor& value = values[step.node];
      inputs.clear();
      if (std::holds_alternative<op::Input>(node.op)) inputs.push_back(x);
      for (NodeId input : step.inputs) {
        if (values[input].defined()) inputs.push_back(values[input]);
      }
      for (NodeId input : step.dead) values[input].reset();
      if (observer && observed == Observed::every_node) {
        value = step.copy ? inputs[0] : run_op(node, inputs, tensors[step.node], mode);
        observer(step.node, value);
        continue;
      }
      if (step.unread_zero) continue;
      if (value.defined()) {
        // by the batch norm before it
      } else if (step.copy) {
        value = inputs[0];
      } else if (step.activation) {
        values[*step.activation] = run_batch_norm_then(graph.node(*step.activation).op, node,
                                                       inputs, tensors[step.node], mode);
        continue;
      } else {
        value = run_op(node, inputs, tensors[step.node], mode);
      }
      if (observer) observer(step.node, value);
    }
  }

  Graph graph;
  std::vector<Step> steps;
};

namespace {

/// A segment that was run without recording it, and runs again in the backward pass.
class Recomputed : public torch::autograd::Node {
 public:
  /// Runs a segment and puts its outputs into `values`, with this as their gradients' source.
  static void run(const std::shared_ptr<const Program::Code>& code, const Segment& segment,
                  std::vector<at::Tensor>& values, const at::Tensor& x,
                  std::span<const OpTensors> tensors, const RunMode& mode) {
    const auto self = std::shared_ptr<Recomputed>(new Recomputed(), torch::autograd::deleteNode);
    self->code_ = code;
    self->segment_ = segment;
    self->mode_ = mode;
    self->mode_.ranges = ActivationRanges::fixed;
    if (mode.generator.defined()) self->dropout_ = mode.generator.get_state();
    for (const NodeId id : segment.inputs) self->keep(values[id]);
    self->keep(x);
    for (std::size_t i = segment.begin; i < segment.end; ++i) {
      const OpTensors& t = tensors[code->steps[i].node];
      self->keep(t.weight);
      self->keep(t.bias);
    }
    std::vector<at::Tensor> own(values.size());
    for (const NodeId id : segment.inputs) own[id] = values[id];
    {
      const at::NoGradGuard no_grad;
      code->run(segment.begin, segment.end, own, x, tensors, mode);
    }
    for (std::size_t i = segment.begin; i < segment.end; ++i) {
      OpTensors buffers = tensors[code->steps[i].node];
      buffers.weight = buffers.bias = at::Tensor();
      if (buffers.activation_min.defined()) {  // as this run has used them
        buffers.activation_min = buffers.activation_min.clone();
        buffers.activation_max = buffers.activation_max.clone();
      }
      self->buffers_.push_back(std::move(buffers));
      for (const NodeId id : code->steps[i].dead) values[id].reset();
    }
    const bool differentiable = torch::autograd::any_variable_requires_grad(self->inputs_);
    if (differentiable) {
      self->set_next_edges(torch::autograd::collect_next_edges(self->inputs_));
      for (const at::Tensor& input : self->inputs_) self->saved_.emplace_back(input, false);
    }
    self->inputs_.clear();
    for (const NodeId id : segment.outputs) {
      if (!own[id].defined()) continue;
      values[id] = own[id].detach();  // it may be an input
      if (differentiable) torch::autograd::set_history(values[id], self);
    }
  }

  torch::autograd::variable_list apply(torch::autograd::variable_list&& gradients) override {
    if (at::GradMode::is_enabled()) {
      throw UnsupportedError(
          "activations that are recomputed have no second derivatives; keep the activations");
    }
    if (saved_.empty()) {  // released, by a backward pass that was not to keep them
      throw UnsupportedError(
          "activations that are recomputed have one backward pass for each forward pass, and it "
          "was "
          "made; keep the activations");
    }
    const at::AutoGradMode grad(true);
    std::vector<at::Tensor> inputs;
    for (torch::autograd::SavedVariable& saved : saved_) {
      const at::Tensor input = saved.unpack();
      inputs.push_back(input.defined() ? input.detach().requires_grad_(input.requires_grad())
                                       : input);
    }
    RunMode mode = mode_;
    if (dropout_.defined()) {
      mode.generator = mode.generator.clone();
      mode.generator.set_state(dropout_);
    }
    std::vector<at::Tensor> values(code_->graph.size());
    std::vector<OpTensors> tensors(code_->graph.size());
    auto next = inputs.begin();
    for (const NodeId id : segment_.inputs) values[id] = *next++;
    const at::Tensor x = *next++;
    for (std::size_t i = segment_.begin; i < segment_.end; ++i) {
      OpTensors& t = tensors[code_->steps[i].node];
      t = buffers_[i - segment_.begin];
      t.weight = *next++;
      t.bias = *next++;
      if (t.running_mean.defined()) {  // they have learned of this batch already
        t.running_mean = t.running_mean.clone();
        t.running_var = t.running_var.clone();
      }
    }
    {
      const Autocast autocast(mode.precision, place_of(x));
      code_->run(segment_.begin, segment_.end, values, x, tensors, mode);
    }

    std::vector<at::Tensor> outputs, given;
    std::size_t output = 0;
    for (const NodeId id : segment_.outputs) {
      if (!values[id].defined()) continue;
      const at::Tensor& gradient = gradients[output++];
      if (!gradient.defined() || !values[id].requires_grad()) continue;
      outputs.push_back(values[id]);
      given.push_back(gradient);
    }
    std::vector<at::Tensor> asked;
    for (const at::Tensor& input : inputs) {
      if (input.defined() && input.requires_grad()) asked.push_back(input);
    }
    torch::autograd::variable_list result(inputs.size());
    if (outputs.empty() || asked.empty()) return result;
    const auto found = torch::autograd::grad(outputs, asked, given, /*retain_graph=*/c10::nullopt,
                                             /*create_graph=*/false, /*allow_unused=*/true);
    auto place = found.begin();
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      if (inputs[i].defined() && inputs[i].requires_grad()) result[i] = *place++;
    }
    return result;
  }

  void release_variables() override { saved_.clear(); }

  static Autocast::Place place_of(const at::Tensor& x) {
    return x.is_cuda() ? Autocast::Place::cuda : Autocast::Place::cpu;
  }

 private:
  void keep(const at::Tensor& input) { inputs_.push_back(input); }

  std::shared_ptr<const Program::Code> code_;
  Segment segment_;
  RunMode mode_;
  at::Tensor dropout_;              // state of its generator before the run
  std::vector<OpTensors> buffers_;  // of each step
  std::vector<at::Tensor> inputs_;  // values, the batch, weights and biases; while it runs
  std::vector<torch::autograd::SavedVariable> saved_;  // the same, for the backward pass
};

}  // namespace

Program::Program(Graph graph) {
  if (!graph.concrete()) {
    throw InvalidArchitecture("the graph has open decisions; close it with an architecture first");
  }
  code_ = std::make_shared<const Code>(std::move(graph));
}

const Graph& Program::graph() const { return code_->graph; }

at::Tensor Program::run(const at::Tensor& x, std::span<const OpTensors> tensors,
                        const RunMode& mode, const NodeObserver& observer,
                        Observed observed) const {
  const Graph& graph = code_->graph;
  const Shape& s = graph.node(graph.input()).shape;
  const std::array<std::int64_t, 3> wanted{s[0].value(), s[1].value(), s[2].value()};
  if (x.dim() != 4 || x.sizes().slice(1) != at::IntArrayRef(wanted)) {
    throw ShapeError("input '" + graph.name(graph.input()) + "': needs a batch of shape {N, " +
                     s.to_string().substr(1) + ", got " + size_text(x.sizes()));
  }
  const Autocast autocast(mode.training ? mode.precision : Precision::float32,
                          Recomputed::place_of(x));
  std::vector<at::Tensor> values(graph.size());
  if (observer || !mode.training || mode.activations == Activations::kept ||
      !at::GradMode::is_enabled()) {
    code_->run(0, code_->steps.size(), values, x, tensors, mode, observer, observed);
  } else {
    for (const Segment& segment : make_segments(graph, code_->steps)) {
      Recomputed::run(code_, segment, values, x, tensors, mode);
    }
  }
  return values[graph.output()].to(x.scalar_type());
}

}  // namespace espalier
