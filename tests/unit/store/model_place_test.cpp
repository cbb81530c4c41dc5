// What people give as a model folder and what is none.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "collimate/base/error.hpp"
#include "collimate/store/model_folder.hpp"
#include "support/model_folder.hpp"
#include "support/throws.hpp"

namespace collimate {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class ModelPlaceTest : public ::testing::Test {
 protected:
  std::string path() const { return folder_.path() / "model"; }
  void write(const std::string& name, const std::string& content = "") const {
    fs::create_directories((fs::path(path()) / name).parent_path());
    write_bytes(fs::path(path()) / name, content);
  }
  template <class Matcher>
  void expect_refused(const std::string& place, const Matcher& message) const {
    EXPECT_THAT([&] { ModelFolder::open(place); }, throws<InputError>(message));
  }

  TemporaryFolder folder_;
};

TEST_F(ModelPlaceTest, says_how_to_fetch_what_may_be_a_name_on_the_hub) {
  expect_refused("meta-llama/Llama-3.2-1B",
                 AllOf(HasSubstr("there is no such model folder"), HasSubstr("hf download meta-llama/Llama-3.2-1B ")));
  for (const char* place : {"./models/one", "/models/one", "models", "models/one/two", "models/", "mo dels/one"}) {
    expect_refused(place, AllOf(HasSubstr("there is no such model folder"), Not(HasSubstr("download"))));
  }
}

TEST_F(ModelPlaceTest, a_file_is_told_from_its_folder) {
  write_model_folder(path(), tiny_config(), tiny_tensors(tiny_config()));
  for (const char* name : {"/config.json", "/model.safetensors"}) {
    expect_refused(path() + name,
                   AllOf(HasSubstr("is not a folder"), HasSubstr("give the one that it is in: " + path())));
  }
  write("other.gguf");
  expect_refused(path() + "/other.gguf", AllOf(HasSubstr("is a GGUF file"), HasSubstr("save_pretrained")));
  const std::string lone = folder_.path() / "lone.txt";
  write_bytes(lone, "");
  expect_refused(lone, AllOf(HasSubstr("is not a folder"), Not(HasSubstr("give"))));
}

TEST_F(ModelPlaceTest, names_what_a_folder_is_instead) {
  const std::vector<std::pair<std::string, std::string>> kinds{
      {"adapter_model.safetensors", "merge_and_unload"},
      {"model-Q4_K_M.gguf", "GGUF"},
      {"consolidated.00.pth", "Hugging Face folder"},
      {"model/__0_0.distcp", "has no config.json"},
      {"__0_0.distcp", "distributed checkpoint of torch"},
      {"pytorch_model_fsdp_0/__0_0.distcp", "merge-weights"},
      {"global_step500/mp_rank_00_model_states.pt", "DeepSpeed"},
      {"mp_rank_00/model_optim_rng.pt", "Megatron"},
      {"snapshots/0123/config.json", "give the folder in snapshots/"},
      {"checkpoint-500/config.json", "give the checkpoint in it"},
      {"rank_00000.safetensors", "collimate export"},
      {"metrics.jsonl", "collimate export"},
      {"tokenizer.json", "a tokenizer without a model"}};
  for (const auto& [name, what] : kinds) {
    fs::remove_all(path());
    write(name);
    expect_refused(path(), AllOf(HasSubstr("has no config.json, so it is not a model folder"), HasSubstr(what)));
  }
}

TEST_F(ModelPlaceTest, names_the_weights_that_a_model_has_instead_of_safetensors) {
  write("config.json", tiny_config().dump());
  expect_refused(path(), HasSubstr("has neither model.safetensors nor model.safetensors.index.json"));
  for (const auto& [name, what] : {std::pair{"pytorch_model-00001-of-00002.bin", "pickle"},
                                   std::pair{"pytorch_model.bin", "save_pretrained"}, std::pair{"w.gguf", "GGUF"},
                                   std::pair{"tf_model.h5", "TensorFlow"}, std::pair{"zero_to_fp32.py", "DeepSpeed"}}) {
    write(name);
    expect_refused(path(), AllOf(HasSubstr("has neither"), HasSubstr(name), HasSubstr(what)));
    fs::remove(fs::path(path()) / name);
  }
}

TEST_F(ModelPlaceTest, a_model_without_weights_is_not_taken_for_a_tokenizer) {
  write("config.json", tiny_config().dump());
  write("tokenizer.json", "{}");
  expect_refused(path(), path() + ": has neither model.safetensors nor model.safetensors.index.json");
}

TEST_F(ModelPlaceTest, what_the_system_does_not_let_read_is_the_users_input) {
  const auto make_loop = [](const fs::path& place) {
    fs::remove_all(place);
    fs::create_symlink(place, place);
  };
  make_loop(path());
  expect_refused(path(), HasSubstr(path() + ": cannot be read: Too many levels of symbolic links"));
  fs::remove(path());
  for (const char* name : {"model.safetensors", "config.json", "adapter_config.json"}) {
    write_model_folder(path(), tiny_config(), tiny_tensors(tiny_config()));
    make_loop(fs::path(path()) / name);
    expect_refused(path(), HasSubstr(std::string(name) + ": cannot be read: Too many levels of symbolic links"));
    fs::remove_all(path());
  }
}

TEST_F(ModelPlaceTest, files_beside_a_model_that_cannot_be_read_are_the_users_input) {
  write_model_folder(path(), tiny_config(), tiny_tensors(tiny_config()));
  fs::create_symlink("tokenizer.json", fs::path(path()) / "tokenizer.json");
  EXPECT_THAT([&] { (void)ModelFolder::open(path()).tokenizer_fingerprint(); },
              throws<InputError>(HasSubstr("tokenizer.json: cannot be read: Too many levels of symbolic links")));
  fs::remove(fs::path(path()) / "tokenizer.json");
  fs::create_symlink("notes.txt", fs::path(path()) / "notes.txt");
  EXPECT_NO_THROW((void)ModelFolder::open(path()).tokenizer_fingerprint());
}

TEST_F(ModelPlaceTest, an_adapter_is_no_model) {
  write("adapter_config.json", R"({"base_model_name_or_path": "some/base"})");
  write("adapter_model.safetensors");
  expect_refused(path(), AllOf(HasSubstr("is no model but a PEFT adapter"), HasSubstr("'some/base'"),
                               HasSubstr("merge_and_unload")));
  write("config.json", tiny_config().dump());
  expect_refused(path(), HasSubstr("is no model but a PEFT adapter"));
}

TEST_F(ModelPlaceTest, full_weights_beside_an_adapter_are_refused_since_others_would_load_another_model) {
  write_model_folder(path(), tiny_config(), tiny_tensors(tiny_config()));
  write("adapter_config.json", R"({"base_model_name_or_path": null})");
  expect_refused(path(), AllOf(HasSubstr("has full weights and an adapter (adapter_config.json)"),
                               HasSubstr("move adapter_config.json and the adapter's weights away")));
  fs::remove(fs::path(path()) / "adapter_config.json");
  write("adapter_model.safetensors", "left over");
  EXPECT_TRUE(ModelFolder::open(path()).remarks().empty());
}

TEST_F(ModelPlaceTest, a_trainers_checkpoint_with_its_state_is_a_model) {
  write_model_folder(path(), tiny_config(), tiny_tensors(tiny_config()));
  for (const char* name :
       {"optimizer.pt", "scheduler.pt", "rng_state.pth", "training_args.bin", "trainer_state.json"}) {
    write(name, "x");
  }
  EXPECT_TRUE(ModelFolder::open(path()).remarks().empty());
}

}  // namespace
}  // namespace collimate
