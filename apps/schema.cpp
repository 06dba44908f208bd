#include "apps/verbs.hpp"
#include "study/config.hpp"

namespace espalier {

Verb add_schema(CLI::App& app, const Catalogue& catalogue) {
  app.add_subcommand("schema", "the JSON Schema of configs, for editors");
  return [&catalogue] {
    print_json(config_schema(catalogue));
    return exit_ok;
  };
}

}  // namespace espalier
