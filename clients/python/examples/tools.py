"""Lets the model call a function, and answers with its result: python tools.py "What time is it in Berlin?"."""

import json
import sys
from datetime import datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from zoe_client import Client, Message, ZoeError

CLOCK = {
    "type": "function",
    "function": {
        "name": "time_in",
        "description": "Tells the time in a zone such as Europe/Berlin.",
        "parameters": {"type": "object", "properties": {"zone": {"type": "string"}}, "required": ["zone"]},
    },
}


def time_in(arguments_json: str) -> str:
    """What the model asked for. It may have asked for nonsense: then it is told so, and can try again."""
    try:
        return datetime.now(ZoneInfo(json.loads(arguments_json)["zone"])).strftime("%H:%M")
    except (ValueError, KeyError, TypeError, OSError, ZoneInfoNotFoundError) as error:
        return f"that did not work: {error}"


def main(question: str) -> int:
    """Asks until the model answers in words, three rounds at most."""
    turns: list[str | dict[str, object] | Message] = [question]
    try:
        with Client() as client:
            for _ in range(3):
                answer = client.complete(turns, tools=[CLOCK], max_output_tokens=500, timeout=60)
                if not answer.tool_calls:
                    print(answer.text)
                    return 0
                turns.append(answer.message)
                for call in answer.tool_calls:
                    result = time_in(call.arguments_json)
                    print(f"{call.name}({call.arguments_json}) -> {result}", file=sys.stderr)
                    turns.append({"role": "tool", "tool_call_id": call.id, "content": result})
    except ZoeError as error:
        print(error, file=sys.stderr)
        return 1
    print("the model only calls functions", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(" ".join(sys.argv[1:]) or "What time is it in Berlin?"))
