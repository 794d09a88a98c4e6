"""A fleet drawn from a seed: what nobody has tuned anything on. The same seed draws the same fleet."""

import random

from benchmarks.simulation.boxes import Box
from benchmarks.simulation.fleets import MODELS, Home
from benchmarks.simulation.servers import Model, Ollama, Router, Server, Single

USUAL_ANSWER, USUAL_PROMPT = 180.0, 500.0  # tokens


def drawn(seed: int) -> Home:
    """Two to five boxes of any speed, one or two servers on each, loaded to between a sixth and a half."""
    draw = random.Random(seed)
    boxes = [_box(f"box{number}", draw) for number in range(1, draw.randint(2, 5) + 1)]
    home = Home(boxes, {}, failing="", slow=draw.choice(boxes).name, rate=0.0)
    names = sorted({model for _, server in home.servers().values() for model in server.models})
    home.weights = {name: draw.uniform(0.5, 2.0) for name in names}
    if len(names) > 2:
        home.aliases = {"either": tuple(sorted(draw.sample(names, 2)))}
        home.weights |= {"either": draw.uniform(0.0, 1.5), "": draw.uniform(0.0, 1.5)}
    home.failing = draw.choice(sorted(home.servers()))
    home.foreign = {name: draw.uniform(1.0, 8.0) for name in sorted(home.servers()) if draw.random() < 0.6}
    home.rate = draw.uniform(0.15, 0.5) * sum(_answers_a_minute(box) for box in boxes)
    return home


def _box(name: str, draw: random.Random) -> Box:
    memory = 25.0 * 36.0 ** draw.random()  # gigabytes a second: from a board to a large GPU
    box = Box(
        name,
        memory,
        memory * draw.uniform(12.0, 45.0),
        draw.uniform(0.3, 3.0),
        draw.uniform(0.08, 0.6),
        draw.uniform(0.7, 1.1),
    )
    box.servers = [_server(f"{name}-{letter}", box, draw) for letter in "ab"[: draw.choice((1, 1, 2))]]
    return box


def _server(name: str, box: Box, draw: random.Random) -> Server:
    models = sorted(MODELS.values(), key=lambda model: model.name)
    few = tuple(draw.sample(models, draw.randint(2, len(models))))
    kind = draw.choice((Single, Router, Ollama))
    if kind is Single:
        return Single(name, few[:1], draw.randint(1, 4), box.disk)
    if kind is Router:
        return Router(name, few, draw.randint(1, 4), box.disk, most=draw.randint(1, 3))
    largest = max(model.gigabytes for model in few)
    return Ollama(name, few, draw.choice((1, 1, 2)), box.disk, memory=largest * draw.uniform(1.1, 2.5))


def _answers_a_minute(box: Box) -> float:
    """What it could do if its models were all loaded, one after the other."""
    models = [model for server in box.servers for model in server.models.values()]
    return 60.0 * len(models) / sum(_seconds(box, model) for model in models)


def _seconds(box: Box, model: Model) -> float:
    return USUAL_PROMPT * model.parameters / box.flow + USUAL_ANSWER * model.gigabytes / box.gigabytes
