#include "strategies/catalogue.hpp"

#include "strategies/asha.hpp"
#include "strategies/bayesian.hpp"
#include "strategies/bohb.hpp"
#include "strategies/brackets.hpp"
#include "strategies/cars.hpp"
#include "strategies/curve_stopping.hpp"
#include "strategies/darts.hpp"
#include "strategies/ddpg.hpp"
#include "strategies/enas.hpp"
#include "strategies/evolution.hpp"
#include "strategies/greedy_darts.hpp"
#include "strategies/local_search.hpp"
#include "strategies/median_stopping.hpp"
#include "strategies/moead.hpp"
#include "strategies/nao.hpp"
#include "strategies/nsga3.hpp"
#include "strategies/predictor_guided.hpp"
#include "strategies/progressive_darts.hpp"
#include "strategies/q_learning.hpp"
#include "strategies/random.hpp"
#include "strategies/regularized_evolution.hpp"
#include "strategies/reinforce.hpp"
#include "strategies/robust_darts.hpp"
#include "strategies/sampled_paths.hpp"
#include "strategies/simulated_annealing.hpp"
#include "strategies/tpe.hpp"

namespace espalier {

StrategyRegistry strategy_registry() {
  StrategyRegistry registry("strategy");
  registry.add("random", random_option_table(),
               [](const RandomOptions& options, const RunContext& context) {
                 return std::make_unique<RandomSearch>(context, options);
               });
  registry.add("regularized_evolution", regularized_evolution_option_table(),
               [](const RegularizedEvolutionOptions& options, const RunContext& context) {
                 return std::make_unique<RegularizedEvolution>(context, options);
               });
  registry.add("mu_plus_lambda", mu_plus_lambda_option_table(),
               [](const MuPlusLambdaOptions& options, const RunContext& context) {
                 return mu_plus_lambda(context, options);
               });
  registry.add("nsga2", nsga2_option_table(),
               [](const Nsga2Options& options, const RunContext& context) {
                 return nsga2(context, options);
               });
  registry.add("nsga3", nsga3_option_table(),
               [](const Nsga3Options& options, const RunContext& context) {
                 return nsga3(context, options);
               });
  registry.add("moead", moead_option_table(),
               [](const MoeadOptions& options, const RunContext& context) {
                 return std::make_unique<Moead>(context, options);
               });
  registry.add("local_search", local_search_option_table(),
               [](const LocalSearchOptions& options, const RunContext& context) {
                 return std::make_unique<LocalSearch>(context, options);
               });
  registry.add("simulated_annealing", simulated_annealing_option_table(),
               [](const SimulatedAnnealingOptions& options, const RunContext& context) {
                 return std::make_unique<SimulatedAnnealing>(context, options);
               });
  registry.add("bayesian", bayesian_option_table(),
               [](const BayesianOptions& options, const RunContext& context) {
                 return bayesian(context, options);
               });
  registry.add(
      "smac", smac_option_table(),
      [](const SmacOptions& options, const RunContext& context) { return smac(context, options); });
  registry.add("bananas", bananas_option_table(),
               [](const BananasOptions& options, const RunContext& context) {
                 return bananas(context, options);
               });
  registry.add("npenas", npenas_option_table(),
               [](const NpenasOptions& options, const RunContext& context) {
                 return npenas(context, options);
               });
  registry.add("brp_nas", brp_nas_option_table(),
               [](const BrpNasOptions& options, const RunContext& context) {
                 return brp_nas(context, options);
               });
  registry.add("gates_evolution", gates_evolution_option_table(),
               [](const GatesEvolutionOptions& options, const RunContext& context) {
                 return gates_evolution(context, options);
               });
  registry.add("nao", nao_option_table(), [](const NaoOptions& options, const RunContext& context) {
    return nao(context, options);
  });
  registry.add("semi_nas", semi_nas_option_table(),
               [](const SemiNasOptions& options, const RunContext& context) {
                 return nao(context, options);
               });
  registry.add("linas", linas_option_table(),
               [](const LinasOptions& options, const RunContext& context) {
                 return linas(context, options);
               });
  registry.add("tpe", tpe_option_table(), [](const TpeOptions& options, const RunContext& context) {
    return std::make_unique<Tpe>(context, options);
  });
  registry.add("reinforce", reinforce_option_table(),
               [](const ReinforceOptions& options, const RunContext& context) {
                 return reinforce(context, options);
               });
  registry.add("ppo", ppo_option_table(), [](const PpoOptions& options, const RunContext& context) {
    return ppo(context, options);
  });
  registry.add("q_learning", q_learning_option_table(),
               [](const QLearningOptions& options, const RunContext& context) {
                 return std::make_unique<QLearning>(context, options);
               });
  registry.add("ddpg", ddpg_option_table(),
               [](const DdpgOptions& options, const RunContext& context) {
                 return std::make_unique<Ddpg>(context, options);
               });
  registry.add("enas", enas_option_table(),
               [](const EnasSearchOptions& options, const RunContext& context) {
                 return std::make_unique<Enas>(context, options);
               });
  registry.add("cars", cars_option_table(),
               [](const CarsOptions& options, const RunContext& context) {
                 return std::make_unique<Cars>(context, options);
               });
  registry.add("darts", darts_option_table(),
               [](const DartsSearchOptions& options, const RunContext& context) {
                 return std::make_unique<Darts>(context, options);
               });
  registry.add("pc_darts", pc_darts_option_table(),
               [](const PcDartsOptions& options, const RunContext& context) {
                 return std::make_unique<PcDarts>(context, options);
               });
  registry.add("fair_darts", fair_darts_option_table(),
               [](const FairDartsOptions& options, const RunContext& context) {
                 return std::make_unique<FairDarts>(context, options);
               });
  registry.add("dr_nas", dr_nas_option_table(),
               [](const DrNasOptions& options, const RunContext& context) {
                 return std::make_unique<DrNas>(context, options);
               });
  registry.add("darts_minus", darts_minus_option_table(),
               [](const DartsMinusOptions& options, const RunContext& context) {
                 return std::make_unique<DartsMinus>(context, options);
               });
  registry.add("gdas", gdas_option_table(),
               [](const GdasOptions& options, const RunContext& context) {
                 return std::make_unique<Gdas>(context, options);
               });
  registry.add("snas", snas_option_table(),
               [](const SnasOptions& options, const RunContext& context) {
                 return std::make_unique<Snas>(context, options);
               });
  registry.add("fbnet", fbnet_option_table(),
               [](const FbnetSearchOptions& options, const RunContext& context) {
                 return std::make_unique<Fbnet>(context, options);
               });
  registry.add("dsnas", dsnas_option_table(),
               [](const DsnasOptions& options, const RunContext& context) {
                 return std::make_unique<Dsnas>(context, options);
               });
  registry.add("proxyless", proxyless_option_table(),
               [](const ProxylessOptions& options, const RunContext& context) {
                 return std::make_unique<Proxyless>(context, options);
               });
  registry.add("sdarts", sdarts_option_table(),
               [](const SdartsOptions& options, const RunContext& context) {
                 return std::make_unique<Sdarts>(context, options);
               });
  registry.add("r_darts", r_darts_option_table(),
               [](const RDartsOptions& options, const RunContext& context) {
                 return std::make_unique<RDarts>(context, options);
               });
  registry.add("p_darts", p_darts_option_table(),
               [](const PDartsOptions& options, const RunContext& context) {
                 return std::make_unique<PDarts>(context, options);
               });
  registry.add("sgas", sgas_option_table(),
               [](const SgasOptions& options, const RunContext& context) {
                 return std::make_unique<Sgas>(context, options);
               });
  registry.add("darts_pt", darts_pt_option_table(),
               [](const DartsPtOptions& options, const RunContext& context) {
                 return std::make_unique<DartsPt>(context, options);
               });
  registry.add("successive_halving", successive_halving_option_table(),
               [](const SuccessiveHalvingOptions& options, const RunContext& context) {
                 return successive_halving(context, options);
               });
  registry.add("hyperband", hyperband_option_table(),
               [](const HyperbandOptions& options, const RunContext& context) {
                 return hyperband(context, options);
               });
  registry.add("asha", asha_option_table(),
               [](const AshaOptions& options, const RunContext& context) {
                 return std::make_unique<Asha>(context, options);
               });
  registry.add("bohb", bohb_option_table(),
               [](const BohbOptions& options, const RunContext& context) {
                 return std::make_unique<Bohb>(context, options);
               });
  registry.add("median_stopping", median_stopping_option_table(),
               [](const MedianStoppingOptions& options, const RunContext& context) {
                 return std::make_unique<MedianStopping>(context, options);
               });
  registry.add("curve_stopping", curve_stopping_option_table(),
               [](const CurveStoppingOptions& options, const RunContext& context) {
                 return std::make_unique<CurveStopping>(context, options);
               });
  return registry;
}

}  // namespace espalier
