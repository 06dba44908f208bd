#include "apps/program.hpp"

int main(int argc, char** argv) {
  return espalier::run_program(argc, argv, espalier::Catalogue::standard());
}
