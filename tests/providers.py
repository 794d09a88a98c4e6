"""Azure OpenAI, Gemini and Groq on loopback, with the wire formats of their public API references.

They are strict, as `clouds` is: what the real service answers with 400 is a 400 here.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

from aiohttp import web
from clouds import KEY, OPENAI_FIELDS, Cloud, Json, served, streamed

DEPLOYMENT, AZURE_VERSION = "our-mini", "2024-10-21"
GEMINI = "gemini-2.5-flash"
GROQ = "llama-3.3-70b-versatile"  # which knows no schemas itself
GROQ_LISTED = "openai/gpt-oss-20b"


# ------------------------------------------------------------------------------------------------------------- Azure


def azure() -> AbstractAsyncContextManager[Cloud]:
    """https://learn.microsoft.com/azure/ai-services/openai/reference, on loopback."""
    return served(_azure)


async def _azure(cloud: Cloud, request: web.Request) -> web.StreamResponse:
    body = json.loads(await request.text() or "{}")
    cloud.note(request, body)
    if request.headers.get("api-key") != KEY:
        text = "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid key"
        return azure_error(401, text, code="401")
    if request.path != f"/openai/deployments/{DEPLOYMENT}/chat/completions":
        return azure_error(
            404, "The API deployment for this resource does not exist.", code="DeploymentNotFound"
        )
    if request.query.get("api-version") != AZURE_VERSION:
        return azure_error(404, "Resource not found", code="404")
    if unknown := body.keys() - OPENAI_FIELDS:
        return azure_error(400, f"Unrecognized request argument supplied: {min(unknown)}")
    if cloud.refusal:
        status, text, headers = cloud.refusal
        return azure_error(status, text, headers, code="content_filter" if status == 400 else str(status))
    return await streamed(cloud, request, _events(cloud))


def azure_error(
    status: int, text: str, headers: Mapping[str, str] | None = None, code: str | None = None
) -> web.Response:
    """An error as the service writes it; one of its content filter says what was found."""
    error: Json = {"code": code, "message": text}
    if code == "content_filter":
        found = {
            "violence": {"filtered": True, "severity": "medium"},
            "hate": {"filtered": False, "severity": "safe"},
        }
        inner = {"code": "ResponsibleAIPolicyViolation", "content_filter_result": found}
        error |= {"type": None, "param": "prompt", "status": 400, "innererror": inner}
    return web.json_response({"error": error}, status=status, headers=headers)


def azure_answer(*deltas: Json, finish: str = "stop") -> list[Json]:
    """A whole stream: first what its filter says of the prompt, in a chunk without a choice; usage at the end."""
    safe = {
        "hate": {"filtered": False, "severity": "safe"},
        "violence": {"filtered": False, "severity": "safe"},
    }
    head = {
        "id": "chatcmpl-AbC",
        "object": "chat.completion.chunk",
        "created": 1741569952,
        "system_fingerprint": "fp_1",
    }
    head["model"] = "gpt-4o-mini-2024-07-18"
    asked = {"id": "", "object": "", "created": 0, "model": "", "usage": None}
    first: Json = {"role": "assistant", "content": "", "refusal": None}
    return [
        {
            **asked,
            "choices": [],
            "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": safe}],
        },
        *(
            {
                **head,
                "choices": [_choice(delta, None, content_filter_results=safe if delta is not first else {})],
            }
            | {"usage": None}
            for delta in (first, *deltas)
        ),
        {**head, "choices": [_choice({}, finish, content_filter_results={})], "usage": None},
        {
            **head,
            "choices": [],
            "usage": {
                "prompt_tokens": 19,
                "completion_tokens": 10,
                "total_tokens": 29,
                "prompt_tokens_details": {"cached_tokens": 8, "audio_tokens": 0},
                "completion_tokens_details": {
                    "reasoning_tokens": 0,
                    "audio_tokens": 0,
                    "accepted_prediction_tokens": 0,
                    "rejected_prediction_tokens": 0,
                },
            },
        },
    ]


def _choice(delta: Json, finish: str | None, **more: Any) -> Json:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish, **more}


def _events(cloud: Cloud, events: list[Json] | None = None) -> list[str]:
    lines = [f"data: {json.dumps(event)}\n\n" for event in events or cloud.events]
    return lines if cloud.cut or cloud.hangs else [*lines, "data: [DONE]\n\n"]


# -------------------------------------------------------------------------------------------------------------- Groq


def groq() -> AbstractAsyncContextManager[Cloud]:
    """https://console.groq.com/docs/api-reference, on loopback."""
    return served(_groq)


_GROQ_FIELDS = (OPENAI_FIELDS - {"store", "modalities", "audio", "prediction", "verbosity", "safety_identifier"}) | {
    "reasoning_format", "include_reasoning", "search_settings", "compound_custom",
}  # fmt: skip


async def _groq(cloud: Cloud, request: web.Request) -> web.StreamResponse:
    body = json.loads(await request.text() or "{}")
    cloud.note(request, body)
    if request.headers.get("Authorization") != f"Bearer {KEY}":
        return groq_error(401, "Invalid API Key", code="invalid_api_key")
    if request.path != "/openai/v1/chat/completions":
        return groq_error(404, f"Unknown request URL: POST {request.path}.", code="unknown_url")
    if mistake := _groq_mistake(body):
        return groq_error(400, mistake)
    if cloud.refusal:
        status, text, headers = cloud.refusal
        return groq_error(status, text, headers, code="rate_limit_exceeded" if status == 429 else None)
    if not body.get("stream"):
        return web.json_response(_whole(cloud.events))
    counted = (body.get("stream_options") or {}).get("include_usage")
    return await streamed(cloud, request, _events(cloud, cloud.events if counted else cloud.events[:-1]))


def _groq_mistake(body: Json) -> str:
    if "stream_options" in body and not body.get("stream"):
        return "'stream_options' : only with 'stream'"
    if unknown := body.keys() - _GROQ_FIELDS:
        return f"property '{min(unknown)}' is unsupported"
    if any("reasoning_content" in message for message in body["messages"]):
        return "property 'reasoning_content' is unsupported"
    return ""


def groq_error(
    status: int, text: str, headers: Mapping[str, str] | None = None, code: str | None = None
) -> web.Response:
    """An error as the service writes it."""
    kind = "tokens" if status == 429 else "invalid_request_error"
    error = {"message": text, "type": kind, "code": code}
    return web.json_response({"error": error}, status=status, headers=headers)


def groq_answer(*deltas: Json, finish: str = "stop") -> list[Json]:
    """A whole stream: its id in `x_groq` of the first chunk, its usage in that of the last, and by itself if asked for."""
    head = {"id": "chatcmpl-4c", "object": "chat.completion.chunk", "created": 1741570000, "model": GROQ}
    head["system_fingerprint"] = "fp_2ddfbb0da0"
    first: Json = {"role": "assistant", "content": ""}
    usage = {
        "queue_time": 0.037,
        "prompt_tokens": 18,
        "prompt_time": 0.000680594,
        "completion_tokens": 9,
        "completion_time": 0.463333333,
        "total_tokens": 27,
        "total_time": 0.464013927,
    }
    request = "req_01jbd6g2qdfw2adyrt2az8hz4w"
    return [
        {**head, "choices": [_choice(first, None)], "x_groq": {"id": request}},
        *({**head, "choices": [_choice(delta, None)]} for delta in deltas),
        {**head, "choices": [_choice({}, finish)], "x_groq": {"id": request, "usage": usage}},
        {**head, "choices": [], "usage": usage},
    ]


def _whole(events: list[Json]) -> Json:
    """The same answer, not streamed."""
    deltas = [event["choices"][0]["delta"] for event in events[:-1]]
    last = events[-2]
    calls = [call for delta in deltas for call in delta.get("tool_calls", ())]
    message: Json = {"role": "assistant", "content": "".join(delta.get("content") or "" for delta in deltas)}
    if calls:
        message["tool_calls"] = calls
    choice = {
        "index": 0,
        "message": message,
        "logprobs": None,
        "finish_reason": last["choices"][0]["finish_reason"],
    }
    return {**last, "object": "chat.completion", "choices": [choice], "usage": last["x_groq"]["usage"]} | {
        "service_tier": "on_demand"
    }


# ------------------------------------------------------------------------------------------------------------ Gemini


def gemini() -> AbstractAsyncContextManager[Cloud]:
    """https://ai.google.dev/api/generate-content, on loopback."""
    return served(_gemini)


_GEMINI_FIELDS = {
    "contents",
    "systemInstruction",
    "tools",
    "toolConfig",
    "generationConfig",
    "safetySettings",
    "cachedContent",
}
_GEMINI_CONFIG = {
    "temperature", "topP", "topK", "candidateCount", "maxOutputTokens", "stopSequences", "responseMimeType",
    "responseSchema", "responseJsonSchema", "presencePenalty", "frequencyPenalty", "seed", "responseLogprobs",
    "logprobs", "thinkingConfig", "responseModalities", "mediaResolution",
}  # fmt: skip
_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
}


async def _gemini(cloud: Cloud, request: web.Request) -> web.StreamResponse:
    body = json.loads(await request.text() or "{}")
    cloud.note(request, body)
    if KEY not in (request.headers.get("x-goog-api-key"), request.query.get("key")):
        detail = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}
        return gemini_error(400, "API key not valid. Please pass a valid API key.", [detail])
    if request.path != f"/v1beta/models/{GEMINI}:streamGenerateContent" or request.query.get("alt") != "sse":
        return gemini_error(404, f"{request.path} is not found for API version v1beta")
    if mistake := next(_gemini_mistakes(body), ""):
        return gemini_error(400, f"Invalid JSON payload received. {mistake}")
    if cloud.refusal:
        status, text, told = cloud.refusal
        kind = "type.googleapis.com/google.rpc.RetryInfo"
        details = [{"@type": kind, "retryDelay": told["retryDelay"]}] if "retryDelay" in told else []
        return gemini_error(status, text, details)
    return await streamed(cloud, request, [f"data: {json.dumps(event)}\r\n\r\n" for event in cloud.events])


def gemini_error(status: int, text: str, details: list[Json] | None = None) -> web.Response:
    """An error as the service writes it: when to come back is in its body alone."""
    error = {"code": status, "message": text, "status": _STATUSES[status], "details": details or []}
    return web.json_response({"error": error}, status=status)


def _gemini_mistakes(body: Json) -> Iterator[str]:
    spelled = {_camel(name): value for name, value in body.items()}  # it takes both spellings
    yield from (f'Unknown name "{name}"' for name in sorted(spelled.keys() - _GEMINI_FIELDS))
    config = {_camel(name) for name in spelled.get("generationConfig", {})}
    yield from (f"Unknown name \"{name}\" at 'generation_config'" for name in sorted(config - _GEMINI_CONFIG))
    for content in spelled["contents"]:
        if content["role"] not in ("user", "model"):
            yield "Please use a valid role: user, model."
        for part in content["parts"]:
            if len({_camel(name) for name in part} - {"thought", "thoughtSignature"}) != 1:
                yield "oneof field 'data' is already set"


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.title() for word in rest)


def gemini_answer(*parts: Json, finish: str = "STOP", thought: int = 0) -> list[Json]:
    """A whole stream, a part in each event; usage in all of them, and all of it in the last."""
    usage: Json = {"promptTokenCount": 12, "totalTokenCount": 12, "cachedContentTokenCount": 5}
    usage["promptTokensDetails"] = [{"modality": "TEXT", "tokenCount": 12}]
    said = {"candidatesTokenCount": 7, "totalTokenCount": 19 + thought}
    if thought:
        said["thoughtsTokenCount"] = thought
    head = {"modelVersion": GEMINI, "responseId": "Kd2taNqHL5iM7M8P"}
    events: list[Json] = [
        {
            "candidates": [{"content": {"parts": [part], "role": "model"}, "index": 0}],
            "usageMetadata": usage,
            **head,
        }
        for part in parts
    ]
    events[-1]["candidates"][0]["finishReason"] = finish
    events[-1]["usageMetadata"] = usage | said
    return events
