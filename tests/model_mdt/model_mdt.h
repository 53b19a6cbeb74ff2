// SPDX-License-Identifier: Apache-2.0
//
// A model MDT behind the seam of the Lustre source: the device protocol as mdc_changelog.c has it, and
// faults in any call.
#pragma once

#include <functional>

#include "model_mdt/model_fs.h"
#include "source/lustre/lustre.h"

namespace reel::model {

struct ModelOptions {
  bool can_fence = true;
  bool has_view = true;  // lctl on the MDS can be asked
  bool knows_incarnation = true;
  size_t prefetch = 1024;  // records read ahead by a descriptor
};

// What every call goes through: may fail, may change the world.
using CallHook = std::function<Status(const std::string& call)>;

class ModelMdt final : public source::lustre::Mdt {
 public:
  ModelMdt(ModelFs& fs, unsigned index, ModelOptions options) : fs_(fs), index_(index), options_(options) {}

  const std::string& name() const override { return fs_.log(index_).name(); }
  unsigned index() const override { return index_; }
  Result<std::unique_ptr<source::lustre::ChangelogDevice>> open_device() override;
  Status clear(uint32_t user_id, uint64_t index) override;
  Status check_user(const source::lustre::MdtUser& user) override;
  Result<source::lustre::Fence> fence() override;
  Fid fence_object() const override { return fence_fid_; }
  source::lustre::MdtView view() override;

  void set_hook(CallHook hook) { hook_ = std::move(hook); }
  Status call(const std::string& what) { return hook_ ? hook_(what) : ok(); }
  void set_options(ModelOptions options) { options_ = options; }
  // Bytes that a read hands out, before it does.
  std::function<void(std::string& bytes)> tamper;
  uint64_t clears_of_zero = 0;
  size_t prefetch() const { return options_.prefetch; }

 private:
  ModelFs& fs_;
  const unsigned index_;
  ModelOptions options_;
  CallHook hook_;
  Fid fence_fid_;
};

}  // namespace reel::model
