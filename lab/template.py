"""The protocol that `lab protocol new` writes: commented, and valid as it is."""

from __future__ import annotations

TEMPLATE = """\
# yaml-language-server: $schema={schema}
# $schema: {schema}
# Every key is described in docs/protocol.md. Check with: lab protocol check {file}
version: 1
title: {title}                      # one line; it heads the lab note
question: Does twice the search in self-play make a stronger net on 7x7 from the same number of games?
hypothesis: >-
  What you expect, why, and the smallest effect that would matter. It must be able to fail.
  Here: the net that learned with more visits wins more than half of its games against the one with fewer.
# theme: self-play                  # which line of work it belongs to
# parents: [baseline-k3x7qa]        # experiments this one builds on

resources: {{cpus: 2}}                # each job's; also gpus, gpu_type, memory (text: 8GiB), roles
budget: {{cpu_time: 12h, wall: 3h}}   # refuse to queue anything if the limits below add up to more
seed: 1                             # the first seed

sweep:                              # every combination of the matrix is an arm; the same seeds in each
  # matrix: {{lr: [1e-3, 2e-3]}}      # used below as "${{sweep.lr}}"
  seeds: 3

steps:
  - id: few                         # lower-case letters, digits, hyphens
    task: gocore.loop               # an instrument's task; or `run: [any, command]`
    time: 30m                       # limit of one attempt; units are written out
    with: {{size: 7, rules: {{komi: 9}}, search: {{visits: 32}}, selfplay: {{opening_moves: 4}}, seed: "${{seed}}"}}
  - id: many
    task: gocore.loop
    time: 30m
    with: {{size: 7, rules: {{komi: 9}}, search: {{visits: 64}}, selfplay: {{opening_moves: 4}}, seed: "${{seed}}"}}
  - id: match                       # once per seed: it needs the two nets of its own arm
    task: gocore.match
    needs: [few, many]
    time: 30m
    # gather: [seed]                # would make it one job over all seeds, with lists in the references
    with:
      size: 7
      rules: {{komi: 9}}
      player: {{kind: net, checkpoint: "${{steps.many.artifacts.net}}", visits: 32}}
      opponent: {{kind: net, checkpoint: "${{steps.few.artifacts.net}}", visits: 32}}
      pairs: 100                    # two games each, colours swapped
      seed: "${{seed}}"

decision:                           # frozen at submit, before the first result exists
  rule: fixed                       # or `exploratory`: no claim, just a look
  primary: match.winrate
  accept: ["match.winrate.ci_low > 0.5"]         # all must hold, in every arm; use interval ends, not bare values
  guards: ["match.winrate.n >= 200"]             # health: if one fails the result is invalid

# notes: free text
"""


def template(title: str, file: str, schema: str) -> str:
    """The text for a protocol called `title`, to be saved as `file`, with the editor's schema at `schema`."""
    return TEMPLATE.format(title=title, file=file, schema=schema)
