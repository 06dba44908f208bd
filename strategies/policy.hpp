// Distributions over architectures that can be learned.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "core/json_fwd.hpp"
#include "core/rng.hpp"
#include "strategies/adam.hpp"
#include "strategies/decision_steps.hpp"

namespace espalier {

/// Which policy: one softmax for each decision, or a controller that reads what was decided before.
enum class PolicyKind { independent, lstm };

/// An architecture under a policy.
struct PolicyDraw {
  Architecture architecture;      ///< in range, as drawn: neither valid nor canonical
  std::vector<double> log_probs;  ///< of each decision's choice, given those before
  std::vector<double> entropies;  ///< of each decision's distribution, given those before
};

/// A distribution over architectures, drawn decision by decision, and its gradient.
///
/// A subset decision is drawn member by member in ascending order; each option's weight is times
/// the number of subsets that go on with it, so that a softmax of equal logits is uniform over
/// subsets. Its entropy is the sum over the steps that led to the subset. Validity and activity are
/// the caller's: log-probabilities and entropies come decision by decision, so that those of
/// inactive ones can be left out. Not thread-safe.
class Policy {
 public:
  virtual ~Policy() = default;

  PolicyDraw draw(Rng& rng);
  /// The architecture, which must be in range, as if it had been drawn.
  PolicyDraw recall(const Architecture& a);

  /// Adds to the gradient that of sum_d (log_prob_weights[d] log_probs[d] +
  /// entropy_weights[d] entropies[d]), the options taken held fixed.
  void add_gradient(const Architecture& a, std::span<const double> log_prob_weights,
                    std::span<const double> entropy_weights);
  /// Takes a step of Adam up the gradient, which is then 0 again.
  void ascend(double learning_rate);

  /// From now on a logit z counts as limit tanh(z), so that no option becomes certain; > 0.
  /// Source: H. Pham et al.: Efficient neural architecture search via parameter sharing, ICML 2018,
  /// arXiv 1802.03268, section 3 (tanh constant), from I. Bello et al., ICLR 2017, arXiv
  /// 1611.09940. Test: IndependentPolicy.LimitedLogitsKeepEveryOptionLikely.
  void limit_logits(double limit) { limit_ = limit; }

  /// Parameters and the state of Adam, for snapshots. load() throws Json::exception for what save()
  /// did not write.
  Json save() const;
  void load(const Json& json);

  std::span<double> parameters() { return parameters_; }
  std::span<const double> gradient() const { return gradient_; }

 protected:
  Policy(const SearchSpace& space, std::size_t (*count)(const DecisionSteps&, std::size_t),
         std::size_t hidden);

  const DecisionSteps& steps() const { return steps_; }

  // The steps are taken in order: logits of a step, given the option taken one step before.
  virtual void forward(std::size_t step, std::uint32_t before, std::span<double> logits) = 0;
  // After all steps: adds to the gradient, given the options and the logits' gradients, step after
  // step in one row.
  virtual void backward(std::span<const std::uint32_t> options,
                        std::span<const double> logit_gradients, std::span<double> gradient) = 0;
  // Where a step's logits begin in that row.
  std::size_t offset(std::size_t step) const { return offsets_[step]; }

 private:
  PolicyDraw walk(Rng* rng, std::vector<std::uint32_t> options);

  DecisionSteps steps_;
  std::vector<std::size_t> offsets_;
  std::vector<double> parameters_, gradient_;
  Adam adam_;
  std::optional<double> limit_;
  std::vector<double> probabilities_, completions_;  // of the last walk
  std::vector<double> slopes_;                       // of the limited logits, in the last walk
};

/// One logit for each option of each step, all 0 at first.
/// Source: C. Ying et al.: NAS-Bench-101: towards reproducible neural architecture search,
/// ICML 2019, arXiv 1902.09635, supplement S3 (REINFORCE).
/// Test: IndependentPolicy.EachDecisionIsASoftmax.
class IndependentPolicy : public Policy {
 public:
  explicit IndependentPolicy(const SearchSpace& space);

 protected:
  void forward(std::size_t step, std::uint32_t before, std::span<double> logits) override;
  void backward(std::span<const std::uint32_t> options, std::span<const double> logit_gradients,
                std::span<double> gradient) override;
};

/// A recurrent controller: a layer of `hidden` LSTM units that reads the embedding of the option
/// taken one step before, with a softmax and embeddings of its own for each step. All parameters
/// are drawn from [-0.1, 0.1) at first.
///
/// A draw takes O(steps hidden^2).
///
/// Source: B. Zoph, Q. Le: Neural architecture search with reinforcement learning, ICLR 2017,
/// arXiv 1611.01578, section 3.1; one layer, and the first parameters: B. Zoph et al.: Learning
/// transferable architectures for scalable image recognition, CVPR 2018, arXiv 1707.07012,
/// appendix A. Differs from the sources: no anchor points for connections (a connection is a
/// decision like others), fewer units by default.
/// Test: LstmPolicy.AChoiceDependsOnThoseBefore.
class LstmPolicy : public Policy {
 public:
  LstmPolicy(const SearchSpace& space, std::size_t hidden, Rng rng);

 protected:
  void forward(std::size_t step, std::uint32_t before, std::span<double> logits) override;
  void backward(std::span<const std::uint32_t> options, std::span<const double> logit_gradients,
                std::span<double> gradient) override;

 private:
  static std::size_t parameter_count(const DecisionSteps& steps, std::size_t hidden);
  // Where the embedding is that a step reads, and its softmax.
  std::size_t embedding(std::size_t step, std::uint32_t before) const;

  std::size_t hidden_, gates_begin_ = 0;
  std::vector<std::size_t> embeddings_begin_, heads_begin_;  // of each step
  // Of each step of the last walk: input, forget and output gates and the candidate after their
  // functions; the cells and the units.
  std::vector<double> gates_, cells_, units_;
};

/// The policy of a kind; `hidden` is for those that have units.
std::unique_ptr<Policy> make_policy(PolicyKind kind, const SearchSpace& space, std::size_t hidden,
                                    Rng rng);

}  // namespace espalier
