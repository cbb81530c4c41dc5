#pragma once
// A few optimizer steps of a small model at some layout, and all that came out of them.

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "collimate/base/memory_tape.hpp"
#include "collimate/comm/group_factory.hpp"
#include "collimate/data/preference_dataset.hpp"
#include "collimate/mesh/process_mesh.hpp"
#include "collimate/nn/model_shard.hpp"
#include "collimate/store/checkpoint.hpp"
#include "collimate/store/reference_store.hpp"
#include "gather_state.hpp"
#include "layouts.hpp"

namespace collimate::test {

/// Pairs to train on, with a made-up reference.
struct LayoutData {
  PreferenceDataset dataset;
  ReferenceStore reference;
};

/// *Local.* Writes pairs, of most of which only some tokens are labelled, into `folder` and opens them; the same for
/// every call. `most_tokens`: of a prompt or response.
LayoutData make_layout_data(const std::string& folder, int most_tokens = 12);

/// Bytes that this rank sent, by group.
using Traffic = std::map<std::string, std::int64_t>;

/// What training gave; the tensors on world rank 0 alone.
struct LayoutResult {
  std::vector<double> losses;          ///< by step
  std::vector<double> grad_norms;      ///< by step
  std::vector<NamedTensor> gradients;  ///< (1 - beta1) times those of the first step: its first moments
  Traffic counted_traffic;             ///< in all steps, by the groups' own count
  Traffic expected_traffic;            ///< by the formulas of engine/step_traffic.hpp
  std::int64_t peak_bytes = 0;         ///< of this rank's tensors in any step
  MemoryUse held_bytes;                ///< between steps, by kind
  MemoryUse expected_memory;           ///< by plan/rank_memory.hpp
  std::vector<TensorGroup> state;      ///< weights and moments after the last step
};

/// What is done to this rank's shard before the first step.
using Prepare = std::function<void(const ModelShard& shard)>;

/// *Collective* over the mesh. `trace` records what this rank does; null for none.
LayoutResult train_layout(const Layout& layout, const LayoutData& data, ProcessMesh& mesh, const Prepare& prepare = {},
                          TraceRecorder* trace = nullptr);

/// The same model, data and steps on one rank with one pair a microbatch, each prompt laid out twice. *Local.*
LayoutResult train_plainly(Layout layout, const LayoutData& data);

}  // namespace collimate::test
