// SPDX-License-Identifier: Apache-2.0
//
// reel path2fid and fid2path: names to FIDs and back, printed as Lustre's tools do.
#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <memory>

#include "base/handle.h"
#include "cli/cli.h"
#include "cli/common/output.h"
#include "tree/lustre/fid_path.h"

namespace reel::cli {
namespace {

struct Path2FidArguments {
  std::vector<std::string> paths;
  bool parents = false;
};

struct Fid2PathArguments {
  std::string root;
  std::vector<std::string> fids;
  bool print_zero = false, print_fid = false, name_only = false;
  int link = -1;
};

Result<std::string> fid_text(const std::string& path, bool parent) {
  if (!parent) {
    TRY_ASSIGN(FidAndMount found, fid_at(AT_FDCWD, path.c_str()));
    return to_string(found.fid);
  }
  std::string name = path;
  while (name.size() > 1 && name.ends_with('/')) name.pop_back();
  TRY(fid_at(AT_FDCWD, name.c_str()));  // there is such a name
  size_t slash = name.rfind('/');
  std::string above = slash == name.npos ? "." : name.substr(0, slash + 1);
  if (slash != name.npos) name = name.substr(slash + 1);
  TRY_ASSIGN(FidAndMount found, fid_at(AT_FDCWD, (above + "/.").c_str()));
  return to_string(found.fid) + "/" + name;
}

Result<int> path2fid(const Path2FidArguments& arguments) {
  Output output;
  int exit_code = kOk;
  for (const std::string& path : arguments.paths) {
    Result<std::string> text = fid_text(path, arguments.parents);
    if (!text) {
      exit_code = report(std::move(text).error().with("path2fid: " + mirror::printable(path)));
      continue;
    }
    if (arguments.paths.size() > 1) output.text() += path + ": ";
    output.text() += *text + "\n";
  }
  TRY(output.flush());
  return exit_code;
}

Result<std::vector<std::string>> paths_of(mirror::PosixSource& source, std::string& text) {
  std::optional<Fid> fid = parse_fid(text);
  if (!fid) return Error(Code::invalid, "not a FID; one looks like [0x200000401:0x3:0x0]");
  text = to_string(*fid);  // the parser of options may have taken the brackets
  Result<std::vector<std::string>> paths = find_paths(source, *fid);
  if (paths.is(Code::not_found)) return Error::from_errno(ENOENT, text);
  if (!paths) return std::move(paths).error().with(text);
  return paths;
}

Result<int> fid2path(const Fid2PathArguments& arguments) {
  TRY_ASSIGN(std::unique_ptr<mirror::PosixSource> source, mirror::PosixSource::open(arguments.root));
  Output output;
  int exit_code = kOk;
  std::string root = arguments.root;
  while (root.size() > 1 && root.ends_with('/')) root.pop_back();
  for (std::string text : arguments.fids) {
    Result<std::vector<std::string>> paths = paths_of(*source, text);
    if (!paths) {
      exit_code = report(std::move(paths).error().with("fid2path: cannot find below " + arguments.root));
      continue;
    }
    // As Lustre: a link number past the last means the first.
    auto link = static_cast<size_t>(std::max(arguments.link, 0));
    if (arguments.link >= 0) *paths = {(*paths)[link < paths->size() ? link : 0]};
    for (const std::string& path : *paths) {
      if (arguments.print_fid) output.text() += text + " ";
      if (arguments.name_only)
        output.text() += path.substr(path.rfind('/') + 1);
      else
        output.text() += path.empty() ? root : (root == "/" ? "" : root) + "/" + path;
      output.text() += arguments.print_zero ? '\0' : '\n';
    }
  }
  TRY(output.flush());
  return exit_code;
}

void set(int& exit_code, const Result<int>& result) {
  exit_code = result ? *result : report(result.error());
}

}  // namespace

void define_fid_verbs(CLI::App& app, int& exit_code) {
  CLI::App* to_fid = app.add_subcommand("path2fid", "print the FIDs of paths");
  auto path_arguments = std::make_shared<Path2FidArguments>();
  to_fid->add_option("PATH", path_arguments->paths, "symlinks are not followed")->required();
  to_fid->add_flag("--parents", path_arguments->parents, "print PARENT-FID/NAME");
  to_fid->callback([path_arguments, &exit_code] { set(exit_code, path2fid(*path_arguments)); });

  CLI::App* to_path =
      app.add_subcommand("fid2path", "print the paths of FIDs (of files with several names all of them)");
  auto fid_arguments = std::make_shared<Fid2PathArguments>();
  to_path->add_option("ROOT", fid_arguments->root, "the directory below which to look")->required();
  to_path->add_option("FID", fid_arguments->fids, "[0xSEQ:0xOID:0xVER]")->required();
  to_path->add_flag("-0,--print0", fid_arguments->print_zero, "end each path with a zero byte");
  to_path->add_flag("-f,--print-fid", fid_arguments->print_fid, "the FID before each path");
  to_path->add_flag("-n,--name", fid_arguments->name_only, "only the last name");
  to_path->add_option("-l,--link", fid_arguments->link, "only the name of this number, from 0")
      ->check(CLI::NonNegativeNumber);
  to_path->callback([fid_arguments, &exit_code] { set(exit_code, fid2path(*fid_arguments)); });
}

}  // namespace reel::cli
