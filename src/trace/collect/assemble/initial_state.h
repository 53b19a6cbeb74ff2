// SPDX-License-Identifier: Apache-2.0
//
// The initial state: what every name that the program uses was before its first use. Recorders say
// what they saw; the rest is looked at now (Surroundings) or follows from the call's result.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/text_hash.h"
#include "reel/trace.h"
#include "trace/collect/assemble/objects.h"
#include "trace/collect/raw.h"

namespace reel::trace {

// The world as it is now, asked while the program runs. Tests have a made-up one.
class Surroundings {
 public:
  virtual ~Surroundings() = default;
  // lstat, and of symlinks the text; false when there is nothing.
  virtual bool look(const std::string& path, wire::Object& object, std::string& link_text) = 0;
  virtual Content content_of(const std::string& path, const wire::Object& object) = 0;
  // "TYPE MOUNTPOINT" of a device (major << 32 | minor).
  virtual std::string file_system(uint64_t device) = 0;
  // False: nobody looked while the program ran (an import). What events say of objects follows from results alone.
  virtual bool first_hand() const { return true; }
};

// What is really there.
class LiveSurroundings : public Surroundings {
 public:
  bool look(const std::string& path, wire::Object& object, std::string& link_text) override;
  Content content_of(const std::string& path, const wire::Object& object) override;
  std::string file_system(uint64_t device) override;
};

class InitialState {
 public:
  InitialState(Writer& writer, Objects& objects, Surroundings& surroundings)
      : writer_(writer), objects_(objects), surroundings_(surroundings) {}

  // The call used these names (empty: none). Called before the call's own effects are noted.
  Status used(const Raw& raw, const Event& event, const std::string& path, const std::string& path2);
  // What the call did to names.
  void changed(const Raw& raw, const Event& event, const std::string& path, const std::string& path2);

 private:
  std::string plain(std::string path);
  bool is_ours(const std::string& path) const;
  Status first_use(const std::string& path, const Raw& raw, const Event& event, bool second);
  Status write(const std::string& path, const wire::Object* object, Known known);
  Status write_link(const std::string& path, const wire::Object& link, const std::string& text);

  Writer& writer_;
  Objects& objects_;
  Surroundings& surroundings_;
  TextSet seen_;
  TextSet made_;  // directories and names that the program made or moved here
};

}  // namespace reel::trace
