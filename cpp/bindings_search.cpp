// Python bindings of the search pipeline: features, pool, records, shards, replay.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <string>

#include "config.h"
#include "features.h"
#include "pool.h"
#include "record.h"
#include "replay.h"
#include "search_bench.h"
#include "shard.h"

namespace py = pybind11;

namespace {

using FloatArray = py::array_t<float, py::array::c_style | py::array::forcecast>;

constexpr const char* kKoNames[] = {"positional", "situational", "simple"};
constexpr const char* kFinishedNames[] = {"two_passes", "move_cap", "no_result"};
constexpr const char* kPolicyKindNames[] = {"none", "visits"};

// Reads known keys out of a dict, then complains about the ones left over.
class Keys {
 public:
  Keys(const py::dict& dict, std::string at) : dict_(dict), at_(std::move(at)) {}

  bool has(const char* key) {
    known_.insert(key);
    return dict_.contains(key);
  }
  template <typename T>
  void take(const char* key, T& out) {
    if (!has(key)) return;
    const py::object value = dict_[key];
    const bool is_bool = py::isinstance<py::bool_>(value);
    if (is_bool != std::is_same_v<T, bool>) throw go::Error(at_ + key + ": must be " + name<T>());
    try {
      out = value.cast<T>();
    } catch (const py::cast_error&) {
      throw go::Error(at_ + key + ": must be " + name<T>());
    }
  }
  void require(const char* key) {
    if (!has(key)) throw go::Error(at_ + key + ": is missing");
  }
  void finish() const {
    for (const auto& item : dict_) {
      const std::string key = py::str(item.first);
      if (!known_.count(key)) throw go::Error(at_ + key + ": unknown key");
    }
  }

 private:
  template <typename T>
  static const char* name() {
    if constexpr (std::is_same_v<T, bool>) return "True or False";
    if constexpr (std::is_same_v<T, std::string>) return "text";
    return std::is_floating_point_v<T> ? "a number" : "a whole number in range";
  }

  const py::dict& dict_;
  std::string at_;
  std::set<std::string> known_;
};

go::PlayerConfig read_player(const py::dict& dict, const std::string& at) {
  go::PlayerConfig p;
  Keys keys(dict, at);
  std::string kind;
  keys.require("kind");
  keys.take("kind", kind);
  if (kind != "net" && kind != "random") throw go::Error(at + "kind: must be 'net' or 'random', not '" + kind + "'");
  p.random = kind == "random";
  keys.take("net", p.net);
  keys.take("visits", p.visits);
  keys.take("cheap_visits", p.cheap_visits);
  keys.take("full_probability", p.full_probability);
  keys.take("c_puct", p.search.c_puct);
  keys.take("fpu_reduction", p.search.fpu_reduction);
  keys.take("root_fpu_reduction", p.search.root_fpu_reduction);
  keys.take("noise_weight", p.noise_weight);
  keys.take("noise_total_alpha", p.noise_total_alpha);
  keys.take("tree_reuse", p.tree_reuse);
  keys.take("prune_pass_alive", p.prune_pass_alive);
  keys.finish();
  return p;
}

go::PoolConfig read_config(const py::dict& dict) {
  go::PoolConfig c;
  Keys keys(dict, "");
  for (const char* key : {"size", "games", "slots", "players"}) keys.require(key);
  keys.take("size", c.size);
  keys.take("komi", c.rules.komi);
  std::string ko = kKoNames[0];
  keys.take("ko", ko);
  int which = 0;
  while (which < 3 && ko != kKoNames[which]) ++which;
  if (which == 3) throw go::Error("ko: must be 'positional', 'situational' or 'simple', not '" + ko + "'");
  c.rules.ko = static_cast<go::Ko>(which);
  keys.take("suicide", c.rules.suicide);
  keys.take("games", c.games);
  keys.take("first_game", c.first_game);
  keys.take("slots", c.slots);
  c.groups = std::min(c.groups, std::max(c.slots, 1));
  keys.take("groups", c.groups);
  keys.take("threads", c.threads);
  keys.take("seed", c.seed);
  if (keys.has("move_cap") && !dict["move_cap"].is_none()) {
    keys.take("move_cap", c.move_cap);
    if (c.move_cap == 0) throw go::Error("move_cap: must be 1 to 10000, or None");
  }
  keys.take("komi_stdev", c.komi_stdev);
  keys.take("opening_moves", c.opening_moves);
  keys.take("opening_from_policy", c.opening_from_policy);
  keys.take("temperature_moves", c.temperature_moves);
  keys.take("temperature", c.temperature);
  keys.take("final_temperature", c.final_temperature);
  keys.take("match", c.match);
  keys.has("players");
  if (!py::isinstance<py::sequence>(dict["players"])) throw go::Error("players: must be a list");
  for (const py::handle player : dict["players"]) {
    const std::string at = "players[" + std::to_string(c.players.size()) + "]";
    if (!py::isinstance<py::dict>(player)) throw go::Error(at + ": must be a dict");
    c.players.push_back(read_player(py::reinterpret_borrow<py::dict>(player), at + "."));
  }
  keys.finish();
  return c;
}

std::span<const uint8_t> view(const py::bytes& bytes) {
  char* data = nullptr;
  py::ssize_t length = 0;
  if (PyBytes_AsStringAndSize(bytes.ptr(), &data, &length) != 0) throw py::error_already_set();
  return {reinterpret_cast<const uint8_t*>(data), static_cast<size_t>(length)};
}

py::array_t<float> encode(const go::Game& game, int symmetry) {
  if (symmetry < 0 || symmetry > 7) throw go::Error("symmetry: must be 0 to 7");
  uint8_t legal[go::kMaxArea + 1];
  game.legal_mask(legal);
  py::array_t<float> planes({go::kNumPlanes, game.size(), game.size()});
  go::encode(game, legal, go::Symmetries::of(game.size()).map(symmetry), planes.mutable_data());
  return planes;
}

py::dict decode(const py::bytes& data) {
  const go::GameRecord r = go::decode_record(view(data));
  go::replay_record(r);
  const py::ssize_t n = static_cast<py::ssize_t>(r.moves.size());
  py::array_t<int16_t> moves(n);
  py::array_t<bool> full(n);
  py::array_t<int32_t> visits(n), root_visits(n);
  py::array_t<float> root_value(n);
  py::list policies;
  for (py::ssize_t i = 0; i < n; ++i) {
    const go::MoveRecord& m = r.moves[i];
    moves.mutable_at(i) = m.move;
    full.mutable_at(i) = m.full;
    visits.mutable_at(i) = static_cast<int32_t>(m.visit_cap);
    root_visits.mutable_at(i) = static_cast<int32_t>(m.root_visits);
    root_value.mutable_at(i) = m.root_value;
    if (m.kind == go::PolicyKind::kNone) {
      policies.append(py::none());
      continue;
    }
    py::array_t<float> policy(r.size * r.size + 1);
    go::expand_policy(r, m, policy.mutable_data());
    policies.append(policy);
  }
  py::array_t<int8_t> ownership(static_cast<py::ssize_t>(r.ownership.size()), r.ownership.data());
  py::list ranges;
  for (const auto& [first, net_id] : r.net_ranges) ranges.append(py::make_tuple(static_cast<int>(first), net_id));
  bool any_policy = false;
  for (const go::MoveRecord& m : r.moves) any_policy |= m.kind == go::PolicyKind::kVisits;
  py::dict d;
  d["version"] = go::kRecordVersion;
  d["size"] = r.size;
  d["ko"] = kKoNames[static_cast<int>(r.rules.ko)];
  d["suicide"] = r.rules.suicide;
  d["komi"] = r.rules.komi;
  d["game_id"] = r.game_id;
  d["seed"] = r.seed;
  d["moves"] = moves;
  d["opening_moves"] = r.opening_moves;
  d["full"] = full;
  d["visits"] = visits;
  d["root_visits"] = root_visits;
  d["root_value"] = root_value;
  d["policy"] = policies;
  d["policy_kind"] = kPolicyKindNames[any_policy];
  d["net_ranges"] = ranges;
  d["black_player"] = r.black_player;
  d["white_player"] = r.white_player;
  d["settled"] = r.settled;
  d["no_result"] = r.finished == go::Finished::kNoResult;
  d["finished"] = kFinishedNames[static_cast<int>(r.finished)];
  d["score"] = r.score;
  d["result"] = 0.5 * r.result_half;
  d["ownership"] = ownership;
  d["hash"] = r.hash;
  return d;
}

py::dict collect(go::Pool& pool, int group) {
  std::vector<int> rows;
  {
    py::gil_scoped_release release;
    rows = pool.collect(group);
  }
  py::dict out;
  for (size_t net = 0; net < rows.size(); ++net) {
    if (rows[net] > 0) out[py::int_(net)] = rows[net];
  }
  return out;
}

py::array_t<float> planes(const py::object& self, int group, int net) {
  const auto& pool = self.cast<const go::Pool&>();
  const int size = pool.config().size;
  const float* data = pool.planes(group, net);
  py::array_t<float> array({pool.rows(group, net), go::kNumPlanes, size, size}, data, self);
  return array;
}

void supply(go::Pool& pool, int group, int net, const FloatArray& logits, const FloatArray& value, const py::object& score) {
  const int rows = pool.rows(group, net);
  const int actions = pool.config().size * pool.config().size + 1;
  const auto shape = [&](bool good, const char* name, const std::string& want) {
    if (!good) throw go::Error(std::string(name) + ": its shape must be [" + want + "]");
  };
  shape(logits.ndim() == 2 && logits.shape(0) == rows && logits.shape(1) == actions, "policy_logits",
        std::to_string(rows) + ", " + std::to_string(actions));
  shape(value.ndim() == 1 && value.shape(0) == rows, "value", std::to_string(rows));
  if (!score.is_none()) {  // not searched with yet, but a net that breaks should be seen at once
    const FloatArray scores = score.cast<FloatArray>();
    shape(scores.ndim() == 1 && scores.shape(0) == rows, "score", std::to_string(rows));
    for (int i = 0; i < rows; ++i) {
      if (!std::isfinite(scores.data()[i])) throw go::Error("score: not all finite");
    }
  }
  py::gil_scoped_release release;
  pool.supply(group, net, logits.data(), value.data(), rows);
}

py::dict stats(const go::Pool& pool) {
  go::PoolStats s;
  {
    py::gil_scoped_release release;
    s = pool.stats();
  }
  py::dict d;
  d["games_started"] = s.games_started;
  d["games_finished"] = s.games_finished;
  d["moves"] = s.moves;
  d["evals"] = s.evals;
  d["visits"] = s.visits;
  d["terminal_visits"] = s.terminal_visits;
  d["reused_visits"] = s.reused_visits;
  d["full_searches"] = s.full_searches;
  d["cheap_searches"] = s.cheap_searches;
  d["black_wins"] = s.black_wins;
  d["white_wins"] = s.white_wins;
  d["draws"] = s.draws;
  d["no_results"] = s.no_results;
  d["cut_by_cap"] = s.cut_by_cap;
  d["early_moves_black"] = s.early_moves[0];
  d["early_moves_white"] = s.early_moves[1];
  d["early_passes_black"] = s.early_passes[0];
  d["early_passes_white"] = s.early_passes[1];
  d["length_min"] = s.length_min;
  d["length_max"] = s.length_max;
  d["batches"] = s.batches;
  d["batch_rows"] = s.batch_rows;
  d["batch_fill"] = std::vector<int64_t>(std::begin(s.fill), std::end(s.fill));
  return d;
}

py::dict sample(go::Replay& replay, int batch, uint64_t seed, uint64_t step, bool symmetry) {
  if (batch < 1) throw go::Error("batch: must be at least 1");
  const int size = replay.size(), area = size * size;
  py::array_t<float> planes({batch, go::kNumPlanes, size, size}), policy({batch, area + 1}), ownership({batch, area});
  py::array_t<float> policy_weight(batch), value(batch), value_weight(batch), score(batch);
  const go::BatchOut out{planes.mutable_data(), policy.mutable_data(),       policy_weight.mutable_data(),
                         value.mutable_data(),  value_weight.mutable_data(), score.mutable_data(),
                         ownership.mutable_data()};
  {
    py::gil_scoped_release release;
    replay.sample(batch, seed, step, symmetry, out);
  }
  py::dict d;
  d["planes"] = planes;
  d["policy"] = policy;
  d["policy_weight"] = policy_weight;
  d["value"] = value;
  d["value_weight"] = value_weight;
  d["score"] = score;
  d["ownership"] = ownership;
  return d;
}

}  // namespace

void bind_search(py::module_& m) {
  py::register_exception<go::RecordError>(m, "RecordError", PyExc_ValueError);
  m.attr("NUM_PLANES") = go::kNumPlanes;
  m.attr("RECORD_VERSION") = go::kRecordVersion;
  m.def("encode", &encode, py::arg("game"), py::arg("symmetry") = 0, "Input planes of a position, [C, S, S].");

  py::class_<go::Pool>(m, "Pool", "Games in flight; see cpp/pool.h.")
      .def(py::init([](const py::dict& config) { return std::make_unique<go::Pool>(read_config(config)); }), py::arg("config"))
      .def("collect", &collect, py::arg("group"))
      .def("planes", &planes, py::arg("group"), py::arg("net"))
      .def("supply", &supply, py::arg("group"), py::arg("net"), py::arg("policy_logits"), py::arg("value"),
           py::arg("score") = py::none())
      .def("set_net_id", &go::Pool::set_net_id, py::arg("net"), py::arg("net_id"))
      .def("done", &go::Pool::done, py::call_guard<py::gil_scoped_release>())
      .def("take_records", [](go::Pool& pool) {
        py::list out;
        for (const std::string& record : pool.take_records()) out.append(py::bytes(record));
        return out;
      })
      .def("stats", &stats);

  m.def("decode_record", &decode, py::arg("data"));
  m.def("write_shard", [](const std::vector<py::bytes>& records) {
    std::vector<std::string_view> views;
    for (const py::bytes& record : records) views.emplace_back(record);
    return py::bytes(go::write_shard(views));
  }, py::arg("records"));
  m.def("read_shard", [](const py::bytes& data) {
    py::list out;
    for (const auto& record : go::read_shard(view(data))) {
      out.append(py::bytes(reinterpret_cast<const char*>(record.data()), record.size()));
    }
    return out;
  }, py::arg("data"));

  py::class_<go::Replay>(m, "Replay", "A window of games to draw training batches from; see cpp/replay.h.")
      .def(py::init<int, int64_t, int>(), py::arg("size"), py::arg("max_positions") = 0, py::arg("threads") = 1)
      .def("add", [](go::Replay& replay, const py::bytes& record) { return replay.add(view(record)); }, py::arg("record"))
      .def_property_readonly("games", &go::Replay::games)
      .def_property_readonly("positions", &go::Replay::positions)
      .def_property_readonly("rows", &go::Replay::rows)
      .def("sample", &sample, py::arg("batch"), py::arg("seed"), py::arg("step"), py::arg("symmetry") = true);

  m.def("search_benchmark", [](int size, int threads, int slots, int visits, int64_t games, uint64_t seed) {
    go::SearchBench result;
    {
      py::gil_scoped_release release;
      result = go::search_benchmark(size, threads, slots, visits, games, seed);
    }
    py::dict d;
    d["visits"] = result.visits;
    d["evals"] = result.evals;
    d["moves"] = result.moves;
    d["games"] = result.games;
    d["seconds"] = result.seconds;
    return d;
  }, py::arg("size"), py::arg("threads") = 1, py::arg("slots") = 64, py::arg("visits") = 400, py::arg("games") = 64,
     py::arg("seed") = 0, "Whole games of self-play with a constant evaluator; features are encoded for every leaf.");
}
