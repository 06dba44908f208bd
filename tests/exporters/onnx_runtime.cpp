#include "tests/exporters/onnx_runtime.hpp"

#include <fmt/format.h>

#include <cstdlib>

#include "core/error.hpp"
#include "core/json.hpp"
#include "tests/core/temporary_directory.hpp"

namespace espalier {

namespace {

const std::filesystem::path home = std::filesystem::path(ESPALIER_SOURCE_DIR) / "tests/onnxruntime";

}  // namespace

bool has_onnx_runtime() {
  return std::filesystem::exists(home / "node_modules/onnxruntime-node/package.json") &&
         std::system("node --version >/dev/null 2>&1") == 0;
}

std::vector<at::Tensor> run_in_onnx_runtime(const std::vector<OnnxJob>& jobs) {
  const TemporaryDirectory directory;
  const auto file = [&](std::size_t i, const char* kind) {
    return (directory.path() / fmt::format("{}{}", i, kind)).string();
  };
  Json list = Json::array();
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    const at::Tensor x = jobs[i].input.to(at::kFloat).contiguous();
    write_file_atomically(file(i, ".in"), {static_cast<const char*>(x.data_ptr()), x.nbytes()});
    list.push_back({{"model", jobs[i].model.string()},
                    {"input", file(i, ".in")},
                    {"shape", x.sizes().vec()},
                    {"output", file(i, ".out")},
                    {"optimize", jobs[i].optimize}});
  }
  const std::filesystem::path list_file = directory.path() / "jobs.json";
  const std::filesystem::path log = directory.path() / "log";
  write_file_atomically(list_file, list.dump());
  const std::string command =
      fmt::format("node '{}' '{}' >'{}' 2>&1", (home / "run_models.js").string(),
                  list_file.string(), log.string());
  if (std::system(command.c_str()) != 0) throw Error("ONNX Runtime failed: " + read_file(log));
  std::vector<at::Tensor> outputs;
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    const std::string bytes = read_file(file(i, ".out"));
    at::Tensor y = at::empty({static_cast<std::int64_t>(bytes.size() / 4)}, at::kFloat);
    std::copy(bytes.begin(), bytes.end(), static_cast<char*>(y.data_ptr()));
    outputs.push_back(y);
  }
  return outputs;
}

}  // namespace espalier
