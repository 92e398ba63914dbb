"""What is around a moment, as the terminal shows it: events, layers, source, where values come from and go."""

from __future__ import annotations

from collections.abc import Iterator

from minidl.stepper.events import BACKWARD, FORWARD, LOSS, PARAMETER, Event, File, Value
from minidl.stepper.screen import Line
from minidl.stepper.views import SMALL, Views


def rows(views: Views, first: int, last: int, moment: int) -> Iterator[Line]:
    """Events in a row each, the current one marked."""
    events = views.tape.events[max(first, 0) : last + 1]
    layers = [views.tape.layer(event) if event.call is not None else "" for event in events]
    several = len(views.tape.files) > 1  # else the lines' numbers say it all
    narrow = views.screen.width < 80
    wide = min(max((len(views.what(event)) for event in events), default=0), 18 if narrow else 26)
    wide_layer = min(max(map(len, layers), default=0), 8 if narrow else 16)
    for event, layer in zip(events, layers, strict=True):
        found = views.tape.source(event) or views.tape.source(event, of_caller=True)
        source = "" if found is None else f"{found[0] if several else ''}:{found[1]}  {found[2].strip()}"
        mark = "->" if event.number == moment else "  "
        begin = f"{mark}{event.number:>5}  "
        what = f"  {_short(views.what(event), wide)}  {_short(layer, wide_layer)}  "
        taken = len(begin) + 10 + len(what)
        style = "strong" if event.number == moment else ""
        yield (
            (style, begin),
            (event.phase, f"{event.phase:<10}"),
            (style, what),
            ("quiet", views.screen.cut(source, taken)),
        )


def _short(text: str, wide: int) -> str:
    return f"{text[: wide - 3]}..." if len(text) > wide else f"{text:<{wide}}"


def source(views: Views, event: Event, context: int) -> Iterator[Line]:
    """The user's lines around the one that called the op, and around the one that called backward() or step()."""
    shown = False
    for number, of_caller in ((event.line, False), (event.caller, True)):
        if number is None or (of_caller and number == event.line):
            continue
        line = views.tape.lines[number]
        if line.file >= len(views.tape.files):
            continue  # the recording has not ended
        file = views.tape.files[line.file]
        inside = "" if line.function == "<module>" else f", in {line.function}"
        said = "called by" if of_caller else "at"
        yield (f"{SMALL}{said} {file.name}:{line.line}{inside}",)
        there = _lines_of(file)
        first, last = max(line.line - context, there.start), min(line.line + context + 1, there.stop)
        for n in range(first, last) if line.line in there else (line.line,):
            begin = f"{'->' if n == line.line else '  '}{n:>6}  "
            style = "strong" if n == line.line else ""
            yield ((style, begin + views.screen.cut(file.line(n), len(begin))),)
        if not file.text:
            yield (f"{SMALL}(the text of {file.name} could not be read)",)
        shown = True
    if not shown:
        yield (f"{SMALL}the line of this event is not known",)


def _lines_of(file: File) -> range:
    """The numbers of the lines whose text the tape holds."""
    return range(file.first, file.first + len(file.text.rstrip("\n").split("\n"))) if file.text else range(0)


def parents(views: Views, value: Value) -> Iterator[Line]:
    """What a value was made of."""
    made = views.tape.made_by(value)
    if made is None:
        what = {"constant": "a constant"}.get(value.kind, f"a{'n' if value.kind == 'input' else ''} {value.kind}")
        yield (f"{SMALL}{value.key} has no parents: it is {what}, no op on this tape made it",)
        return
    yield (f"{SMALL}{value.key} was made by event {made.number}, {views.what(made)}, of",)
    for number in dict.fromkeys(made.inputs):
        parent = views.tape.values[number]
        if parent.missing:
            continue
        times = f", {made.inputs.count(number)} times" if made.inputs.count(number) > 1 else ""
        yield (f"{SMALL}  {parent.key} {parent.shape} {parent.dtype}, {views.kind(parent)}{times}",)


def children(views: Views, value: Value) -> Iterator[Line]:
    """What was made of a value."""
    uses = [e for e in views.tape if e.node == e.number and value.number in e.inputs]
    if not uses:
        yield (f"{SMALL}{value.key} has no children: no op on this tape used it",)
        return
    yield (f"{SMALL}of {value.key} was made",)
    for event in uses:
        yield (f"{SMALL}  {views.name(event.output)} by event {event.number}, {views.what(event)}",)
    came = views.tape.gradient(value).addends
    if len(came) > 1:
        numbers = ", ".join(map(str, dict.fromkeys(number for number, _ in came)))
        yield (f"{SMALL}So its gradient is a sum: in the last backward of {len(came)} addends, at event {numbers}.",)


def layers(views: Views, moment: int) -> Iterator[Line]:
    """The layers in the order of their calls, with their events and what is known of their gradients."""
    tape = views.tape
    labels: dict[str, str] = {}
    for call in tape.calls:
        labels.setdefault(call.path, call.label)
    if not labels:
        yield (f"{SMALL}no layer was called: nothing on this tape ran inside an md.nn.Module",)
        return
    wide = max(map(len, labels))
    for path, label in labels.items():
        ranges = []
        for phases in ((FORWARD, LOSS), (BACKWARD,)):
            numbers = [e.number for e in tape.find(layer=path) if e.phase in phases]
            if numbers:
                ranges.append(
                    f"{phases[0]} {numbers[0]}-{numbers[-1]}" if len(numbers) > 1 else f"{phases[0]} {numbers[0]}"
                )
        yield f"{SMALL}", ("strong", f"{path:<{wide}}"), f"  {label}" if label != path else "", f"  {', '.join(ranges)}"
        for value in tape.values:
            if value.kind == PARAMETER and value.key.rpartition(".")[0] == path:
                total = tape.gradient(value, moment).total
                known = "gradient not known yet" if total is None else f"gradient's norm {total.norm:.4g}"
                yield (f"{SMALL}{'':<{wide}}    {value.key.rpartition('.')[2]} {value.shape}, {known}",)


def counts(views: Views) -> Line:
    """What is on the tape, in one line."""
    phases: dict[str, int] = {}
    for event in views.tape:
        phases[event.phase] = phases.get(event.phase, 0) + 1
    said = ", ".join(f"{count} {phase}" for phase, count in phases.items())
    events = f"{len(views.tape)} event{'s' * (len(views.tape) != 1)}"
    return (f"{views.tape.title or 'tape'}: {events}{': ' if said else ''}{said}",)
