// SPDX-License-Identifier: Apache-2.0
//
// reel-mpi: `reel replay` by many processes, on as many nodes as mpirun starts it. A program of its own, so that reel
// needs no MPI.
#include <cstdio>
#include <sstream>

#include "cli/cli.h"
#include "mpi/mpi_team.h"

namespace {

int run(int argc, char** argv, reel::mpi::MpiTeam& team) {
  CLI::App app("Reel: replays of parallel programs, as many processes: mpirun -n N reel-mpi replay LOG", "reel-mpi");
  app.set_version_flag("--version", "reel-mpi " REEL_VERSION);
  app.require_subcommand(1);
  app.add_option_function<int>(
         "--per-node", [&team](int processes) { team.split(processes); },
         "take each so many processes for a node of their own, to try what happens between nodes")
      ->check(CLI::PositiveNumber);
  int exit_code = reel::cli::kOk;
  reel::cli::define_replay(app, team, exit_code);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    std::ostringstream nobody;
    int code = team.leads() ? app.exit(error) : app.exit(error, nobody, nobody);
    return code == 0 ? reel::cli::kOk : reel::cli::kUsage;
  }
  return exit_code;
}

}  // namespace

int main(int argc, char** argv) {
  int threads = MPI_THREAD_SINGLE;
  MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &threads);
  int exit_code = 0;
  {
    reel::mpi::MpiTeam team;
    exit_code = run(argc, argv, team);
  }
  MPI_Finalize();
  return exit_code;
}
