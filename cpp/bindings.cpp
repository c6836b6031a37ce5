// Python bindings of the rules; the search pipeline adds its own in bindings_search.cpp.
// The public Python API (vertices, reasons, arrays with the right shape) is gocore/board.py; this is what it stands on.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "game.h"
#include "playout.h"
#include "score.h"

namespace py = pybind11;

void bind_search(py::module_& m);

namespace {

go::Ko parse_ko(const std::string& name) {
  if (name == "positional") return go::Ko::kPositional;
  if (name == "situational") return go::Ko::kSituational;
  if (name == "simple") return go::Ko::kSimple;
  throw go::Error("ko rule '" + name + "' is unknown: use 'positional', 'situational' or 'simple'");
}

const char* name_of(go::Ko ko) {
  switch (ko) {
    case go::Ko::kPositional: return "positional";
    case go::Ko::kSituational: return "situational";
    case go::Ko::kSimple: return "simple";
  }
  return "";
}

const char* name_of(go::Illegal why) {
  switch (why) {
    case go::Illegal::kNone: return "";
    case go::Illegal::kOccupied: return "the point is occupied";
    case go::Illegal::kSuicide: return "suicide";
    case go::Illegal::kKo: return "ko";
    case go::Illegal::kSuperko: return "superko";
    case go::Illegal::kGameOver: return "game is over";
    case go::Illegal::kOffBoard: return "off the board";
  }
  return "";
}

go::Rules make_rules(const std::string& ko, bool suicide, float komi) {
  go::Rules rules;
  rules.ko = parse_ko(ko);
  rules.suicide = suicide;
  rules.komi = komi;
  return rules;
}

go::Color parse_color(int value) {
  if (value != 1 && value != 2) throw go::Error("colour " + std::to_string(value) + " is unknown: 1 is black, 2 is white");
  return static_cast<go::Color>(value);
}

// Calls f(p) -> T for each point and gives a [size, size] array.
template <class T, class F>
py::array_t<T> per_point(const go::Game& game, F f) {
  py::array_t<T> out({game.size(), game.size()});
  T* data = out.mutable_data();
  for (int p = 0; p < game.area(); ++p) data[p] = static_cast<T>(f(static_cast<go::Move>(p)));
  return out;
}

// +1 / -1 / 0 as the board's own 1 / 2 / 0.
int as_color(int owner) { return owner < 0 ? 2 : owner; }

void bind_game(py::module_& m) {
  py::class_<go::Game>(m, "Game", "Rules engine on point numbers (row-major, size*size = pass); see gocore.Game.")
      .def(py::init([](int size, const std::string& ko, bool suicide, float komi) {
             return go::Game(size, make_rules(ko, suicide, komi));
           }),
           py::arg("size"), py::arg("ko") = "positional", py::arg("suicide") = false, py::arg("komi") = 7.0f)
      .def(py::init<const go::Game&>(), py::arg("other"))
      .def_property_readonly("size", &go::Game::size)
      .def_property_readonly("komi", [](const go::Game& g) { return g.rules().komi; })
      .def_property_readonly("ko_rule", [](const go::Game& g) { return name_of(g.rules().ko); })
      .def_property_readonly("suicide_legal", [](const go::Game& g) { return g.rules().suicide; })
      .def_property_readonly("color_to_play", [](const go::Game& g) { return static_cast<int>(g.to_play()); })
      .def_property_readonly("first_color", [](const go::Game& g) { return static_cast<int>(g.first_to_play()); })
      .def_property_readonly("num_moves", &go::Game::num_moves)
      .def_property_readonly("is_over", &go::Game::is_over)
      .def_property_readonly("no_result", &go::Game::no_result)
      .def_property_readonly("hash", &go::Game::hash)
      .def("why_illegal", [](const go::Game& g, int p) {
        const bool fits = p >= 0 && p <= g.area();
        return name_of(fits ? g.why_illegal(static_cast<go::Move>(p)) : go::Illegal::kOffBoard);
      }, py::arg("point"))
      .def("play_point", [](go::Game& g, int p) {
        const go::Illegal why = p >= 0 && p <= g.area() ? g.why_illegal(static_cast<go::Move>(p)) : go::Illegal::kOffBoard;
        if (why != go::Illegal::kNone) throw go::Error("point " + std::to_string(p) + " is illegal: " + name_of(why));
        g.play(static_cast<go::Move>(p));
      }, py::arg("point"))
      .def("undo_move", &go::Game::undo)
      .def("pass_would_end", &go::Game::pass_would_end)
      .def("points", [](const go::Game& g) {
        std::vector<int> points(g.num_moves());
        for (int i = 0; i < g.num_moves(); ++i) points[i] = g.move_at(i);
        return points;
      })
      .def("set_up", [](go::Game& g, const std::vector<std::pair<int, int>>& stones, int to_play) {
        std::vector<std::pair<go::Move, go::Color>> list;
        for (const auto& [p, color] : stones) {
          if (p < 0 || p >= g.area()) throw go::Error("set-up stone at point " + std::to_string(p) + " is off the board");
          list.emplace_back(static_cast<go::Move>(p), parse_color(color));
        }
        g.set_up(list, parse_color(to_play));
      }, py::arg("stones"), py::arg("to_play"))
      .def("setup_stones", [](const go::Game& g) {
        std::vector<std::pair<int, int>> stones;
        for (const auto& [p, color] : g.setup()) stones.emplace_back(p, static_cast<int>(color));
        return stones;
      })
      .def("legal_mask", [](const go::Game& g) {
        py::array_t<bool> out(g.area() + 1);
        static_assert(sizeof(bool) == 1);
        g.legal_mask(reinterpret_cast<uint8_t*>(out.mutable_data()));
        return out;
      })
      .def("board", [](const go::Game& g) {
        return per_point<int8_t>(g, [&](go::Move p) { return static_cast<int>(g.board().at(p)); });
      })
      .def("liberties", [](const go::Game& g) {
        return per_point<int16_t>(g, [&](go::Move p) { return g.board().liberties_at(p); });
      })
      .def("pass_alive", [](const go::Game& g) {
        int8_t owner[go::kMaxArea];
        go::pass_alive(g.board(), g.rules().suicide, owner);
        return per_point<int8_t>(g, [&](go::Move p) { return as_color(owner[p]); });
      })
      .def("area_owner", [](const go::Game& g, bool remove_dead) {
        int8_t owner[go::kMaxArea];
        const auto dead = remove_dead ? go::Dead::kPassDeadRemoved : go::Dead::kAsIs;
        go::score_area(g.board(), dead, g.rules().suicide, owner);
        return per_point<int8_t>(g, [&](go::Move p) { return as_color(owner[p]); });
      }, py::arg("remove_dead") = true)
      .def("area_black_minus_white", [](const go::Game& g, bool remove_dead) {
        const auto dead = remove_dead ? go::Dead::kPassDeadRemoved : go::Dead::kAsIs;
        return go::score_area(g.board(), dead, g.rules().suicide);
      }, py::arg("remove_dead") = true)
      .def("random_point", [](const go::Game& g, uint64_t seed, uint64_t game_id) {
        if (g.is_over()) throw go::Error("game is over: there is no move to choose");
        go::Rng rng(seed, game_id, static_cast<uint64_t>(g.num_moves()), 0, go::Purpose::kMoveChoice);
        return static_cast<int>(go::random_move(g, rng));
      }, py::arg("seed"), py::arg("game_id") = 0)
      .def("check", [](const go::Game& g) { return g.board().check(); });
}

py::dict run_playouts(int size, int64_t count, uint64_t seed, const std::string& ko, bool suicide, float komi, int64_t first) {
  if (count < 1) throw go::Error("count must be at least 1, not " + std::to_string(count));
  const go::Rules rules = make_rules(ko, suicide, komi);
  go::PlayoutStats stats;
  {
    py::gil_scoped_release release;
    stats = go::random_playouts(size, rules, count, seed, first);
  }
  const int64_t scored = stats.playouts - stats.cut;
  py::dict out;
  out["playouts"] = stats.playouts;
  out["moves"] = stats.moves;
  out["cut"] = stats.cut;
  out["black_wins"] = stats.black_wins;
  out["draws"] = stats.draws;
  out["black_mean_score"] = scored ? stats.black_score / static_cast<double>(scored) : 0.0;
  return out;
}

}  // namespace

PYBIND11_MODULE(_core, m) {
  m.doc() = "Compiled core of gocore: Go rules, search, self-play and replay.";
  py::register_exception_translator([](std::exception_ptr p) {
    try {
      if (p) std::rethrow_exception(p);
    } catch (const go::Error& e) {
      PyErr_SetString(PyExc_ValueError, e.what());
    }
  });
  bind_game(m);
  m.def("random_playouts", &run_playouts, py::arg("size"), py::arg("count"), py::arg("seed") = 0,
        py::arg("ko") = "positional", py::arg("suicide") = false, py::arg("komi") = 0.0f, py::arg("first") = 0,
        "Plays random games from the empty board; the i-th is keyed by (seed, first + i). The GIL is released.");
  m.def("count_legal_positions", &go::count_legal_positions, py::arg("size"), py::call_guard<py::gil_scoped_release>());
  bind_search(m);
}
