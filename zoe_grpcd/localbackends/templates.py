"""How a conversation becomes the tiny models' prompt, for llama-server (Jinja) and for Ollama (Go), and scripted replies.

The one rule: both languages spell the same prompt, and an assistant's message at the end is left open, so that the
server continues it.
"""

CHAT_TEMPLATE = (  # llama-server itself cuts the closing </s> of an assistant's message at the end
    "{%- for m in messages -%}{{- '<|' + m['role'] + '|>' + (m['content'] or '') + '</s>' -}}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|assistant|>' -}}{%- endif -%}"
)
OLLAMA_TEMPLATE = (  # here the template has to do that
    "{{- range $i, $m := .Messages }}{{ $last := eq (len (slice $.Messages $i)) 1 }}"
    '{{- if eq .Role "assistant" }}<|assistant|>{{ .Content }}{{ if not $last }}</s>{{ end }}'
    "{{- else }}<|{{ .Role }}|>{{ .Content }}</s>{{ if $last }}<|assistant|>{{ end }}{{ end }}"
    "{{- end }}"
)

# A model that always calls get_weather(city="Paris").
TOOL_SCRIPT = (
    "<tool_call>\n",
    '{"name": ',
    '"get_weather", ',
    '"arguments": ',
    '{"city": ',
    '"Par',
    'is"',
    "}}",
    "\n</tool_call>",
)
TOOL_TEMPLATE = (
    "{%- if tools -%}{{- '<|system|>' -}}{%- for t in tools -%}{{- t | tojson -}}{%- endfor -%}{{- '</s>' -}}{%- endif -%}"
    "{%- for m in messages -%}{{- '<|' + m['role'] + '|>' + (m['content'] or '') -}}"
    "{%- for c in m['tool_calls'] or [] -%}"
    "{{- '<tool_call>\\n{\"name\": \"' + c['function']['name'] + '\", \"arguments\": ' -}}"
    "{{- c['function']['arguments'] | tojson -}}{{- '}\\n</tool_call>' -}}"
    "{%- endfor -%}{{- '</s>' -}}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|assistant|>' -}}{%- endif -%}"
)
OLLAMA_TOOL_TEMPLATE = (
    "{{- if .Tools }}<|system|>{{ range .Tools }}{{ . }}{{ end }}</s>{{ end }}"
    "{{- range $i, $m := .Messages }}{{ $last := eq (len (slice $.Messages $i)) 1 }}"
    '{{- if eq .Role "assistant" }}<|assistant|>{{ .Content }}{{ if .ToolCalls }}<tool_call>\n{{ range .ToolCalls }}'
    '{"name": "{{ .Function.Name }}", "arguments": {{ .Function.Arguments }}}{{ end }}\n</tool_call>{{ end }}'
    "{{ if not $last }}</s>{{ end }}"
    "{{- else }}<|{{ .Role }}|>{{ .Content }}</s>{{ if $last }}<|assistant|>{{ end }}{{ end }}"
    "{{- end }}"
)

# A model that thinks before each answer: llama-server gives the thought as reasoning_content, Ollama as thinking when
# it is asked to think, each with the newline before </think>.
REASONING_SCRIPT = (
    "<think>\n",
    "First",
    " they want",
    " a number,",
    " hence",
    " I'll",
    " choose one.",
    "\n</think>\n\n",
    "The answer",
    " equals",
    " forty-",
    "two.",
)
REASONING_TEMPLATE = (
    "{%- for m in messages -%}{{- '<|' + m['role'] + '|>' -}}"
    "{%- if m['role'] == 'assistant' and m['reasoning_content'] -%}"
    "{{- '<think>\\n' + m['reasoning_content'] + '\\n</think>\\n\\n' -}}"
    "{%- endif -%}"
    "{{- (m['content'] or '') + '</s>' -}}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|assistant|>' -}}{%- endif -%}"
)
OLLAMA_REASONING_TEMPLATE = (
    "{{- range $i, $m := .Messages }}{{ $last := eq (len (slice $.Messages $i)) 1 }}"
    '{{- if eq .Role "assistant" }}<|assistant|>'
    "{{ if .Thinking }}<think>\n{{ .Thinking }}\n</think>\n\n{{ end }}{{ .Content }}"
    "{{ if not $last }}</s>{{ end }}"
    "{{- else }}<|{{ .Role }}|>{{ .Content }}</s>{{ if $last }}<|assistant|>{{ end }}{{ end }}"
    "{{- end }}"
)
