// SPDX-License-Identifier: Apache-2.0
//
// A model Lustre read as a tree, and compared with what a mirror has made of it.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "model_mdt/model_fs.h"
#include "sim/sim_fs.h"
#include "tree/tree.h"

namespace reel::model {

// `before`: called before each look; may change the model, and fail.
std::unique_ptr<mirror::SourceTree> model_tree(ModelFs& fs, std::function<Status()> before);

// "" when equal, else what differs first. With `released_may_differ`, of files whose contents are only in
// the archive nothing but the name is compared.
std::string compare_with(const ModelFs& fs, const sim::SimFs& target, bool released_may_differ);

}  // namespace reel::model
