"""The player's commands, and what it teaches about them."""

from __future__ import annotations

INTRODUCTION = "n next, b back, v NAME value, g NAME gradient, h help"

# What may be typed, and the method that does it; a beginning that fits one of them only is enough.
NAMES = {
    "n": "next", "next": "next",
    "b": "back", "back": "back",
    "j": "jump", "jump": "jump",
    "phase": "phase", "]": "next_phase", "[": "previous_phase",
    "c": "resume", "continue": "resume", "rc": "reverse", "reverse": "reverse",
    "br": "break_", "break": "break_", "breaks": "breaks_", "d": "delete", "delete": "delete",
    ".": "here", "event": "here",
    "v": "value", "value": "value",
    "g": "gradient", "gradient": "gradient",
    "p": "parents", "parents": "parents", "ch": "children", "children": "children",
    "w": "where", "where": "where", "source": "where",
    "l": "list", "list": "list", "layers": "layers",
    "k": "check", "check": "check", "quiz": "quiz",
    "h": "help", "help": "help", "?": "help",
    "q": "quit", "quit": "quit", "exit": "quit",
}  # fmt: skip

HELP = """\
A tape is one run of a program, event by event: the forward,
op by op; the backward of each op, the last op first; then
each gradient is added to its .grad; then weights move.
Nothing runs again: go back freely. (17) is where you are.

  n, b       next event, the one before (n 3: three on)
  ], [       next phase, phase before; phase update: to it
  17, j h    to event 17; to the event that made h
  v h        what h holds now; v h 0 1: one number of it
  g h        dL/dh, as far as it is known; g h 0 1: and why
  k w 0 1    check dL/dw[0, 1] by finite differences
  quiz       predict each gradient before it is shown
  w          where in your program; w 10: more lines
  p, ch      parents, children of this output; p h: of h
  list       the events around; list 0 20: those
  layers     the layers and their gradients
  .          this event again
  break X    X: op MatMul, layer fc1, value h, nan, 17
  c, rc      on to a break, back to one; breaks, delete 1
  q          quit, as Ctrl-D does

Enter repeats. v x; g x does both. help break says more."""

_MORE = {
    "next": "n, next, n 3: the next event, or the third from here.",
    "back": "b, back, b 3: the event before, or three back. Nothing runs again; the tape knows what held then.",
    "jump": "j 17, or 17 alone: to event 17; j -1 to the last. j h: to the event that made h.",
    "phase": "phase backward: to the next event of forward, loss, backward, accumulate or update.",
    "next_phase": "]: to where the next phase begins.",
    "previous_phase": "[: to where this phase began, or the one before it.",
    "resume": "c, continue: on to the next breakpoint, or to the end. See help break.",
    "reverse": "rc, reverse: back to the breakpoint before, or to the beginning.",
    "break_": (
        "break op MatMul, break layer fc1 (and all in it), break value h (what makes, uses or changes h, or sends to "
        "its gradient), break phase update, break nan (NaN or infinity comes up), break 17. Then c goes on to the "
        "next, rc back to the one before. (b is back, not break.)"
    ),
    "breaks_": "breaks: all breakpoints with their numbers.",
    "delete": "d 1, delete 1: takes breakpoint 1 away; delete: all.",
    "here": ". or event: the event we are at once more.",
    "value": (
        "v h: what h holds at this moment; v h 0 1 or v h[0, 1]: one number with all its digits. Of at most 64 "
        "numbers all are shown, rounded; of more the statistics and a picture, dark where numbers are high."
    ),
    "gradient": (
        "g h: what is known of dL/dh at this moment. Where h was used twice, two addends come, and their sum is the "
        "gradient; until the last has come it says so. g h 0 1: one number, and the formula that it comes from."
    ),
    "parents": "p, parents, p h: the values that h was made of. Without a name: of this event's output.",
    "children": "ch, children, ch h: what was made of h. Each use sends one addend to the gradient of h.",
    "where": "w, where, source: your lines around this op, and the call of backward() or step(). w 10: more of them.",
    "list": "l, list: the events around this one; list 0 20: those from 0 to 20.",
    "layers": "layers: the layers in the order of their calls, their events, and the norms of their gradients so far.",
    "check": (
        "k w 0 1, check w[0, 1]: dL/dw[0, 1] once more, by computing L with w[0, 1] a little larger and a little "
        "smaller: (L(w + e) - L(w - e)) / 2e. Two ways to one number: if they agree, the backward is right."
    ),
    "quiz": (
        "quiz: on, or off again. At each backward you are then asked for one number of a gradient before it is "
        "shown. Type it (0.5, -1e-3, 2/3), or ? for a hint, v x to look at a value, Enter to see the answer."
    ),
    "help": "h, help, ?: all commands; help value: more of one.",
    "quit": "q, quit, Ctrl-D: the end.",
}


def full_name(word: str) -> str | None:
    """The method that a typed word stands for; None if it is none, or could be several."""
    if word in NAMES:
        return NAMES[word]
    found = {method for name, method in NAMES.items() if len(name) > 2 and name.startswith(word)}
    return found.pop() if len(found) == 1 else None


def help_of(text: str) -> list[str]:
    """More of one command.

    Raises:
        ValueError: there is no such command.
    """
    name = full_name(text)
    if name is None:
        raise ValueError(f"there is no command {text!r}; help lists them")
    return [_MORE[name]]
