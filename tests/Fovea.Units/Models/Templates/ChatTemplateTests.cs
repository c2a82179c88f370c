using System.Text.Json;
using Fovea.Models;
namespace Fovea.Units;

/// <summary>What Jinja 3.1.6 makes of the same templates (trim_blocks, lstrip_blocks), written down.</summary>
public class ChatTemplateTests
{
    internal static readonly ChatMessage[] Messages = [new("system", " Be brief. "), new("user", "Hi\nthere"), new("assistant", "Hello!"), new("user", "  Bye 'now' \"x\" ")];
    internal static readonly object?[] Tools = [JsonDocument.Parse("""{"type":"function","function":{"name":"f","description":"é \"q\"","parameters":{"type":"object","properties":{"a":{"type":"string"},"b":{"type":"number"}},"required":["a"]}}}""").RootElement];

    internal static readonly (string Template, string Expected)[] Cases =
    [
        // Instructions in brackets: a slice of the messages, alternation, '+' between texts.
        ("{% if messages[0]['role'] == 'system' %}{% set rest = messages[1:] %}{% set sys = messages[0]['content'] %}{% else %}{% set rest = messages %}{% set sys = false %}{% endif %}{% for m in rest %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles must alternate') }}{% endif %}{% if loop.index0 == 0 and sys != false %}{% set c = '<<SYS>>\\n' + sys + '\\n<</SYS>>\\n\\n' + m['content'] %}{% else %}{% set c = m['content'] %}{% endif %}{% if m['role'] == 'user' %}{{ bos_token + '[INST] ' + c.strip() + ' [/INST]' }}{% elif m['role'] == 'assistant' %}{{ ' '  + c.strip() + ' ' + eos_token }}{% endif %}{% endfor %}",
            "<s>[INST] <<SYS>>\n Be brief. \n<</SYS>>\n\nHi\nthere [/INST] Hello! </s><s>[INST] Bye 'now' \"x\" [/INST]"),
        // Headers: '-' on every tag, trim.
        ("{%- set loop_messages = messages %}\n{%- for message in loop_messages %}\n    {%- set content = '<|h|>' + message['role'] + '<|e|>\\n\\n' + message['content'] | trim + '<|eot|>' %}\n    {%- if loop.first %}\n        {%- set content = bos_token + content %}\n    {%- endif %}\n    {{- content }}\n{%- endfor %}\n{%- if add_generation_prompt %}\n    {{- '<|h|>assistant<|e|>\\n\\n' }}\n{%- endif %}\n",
            "<s><|h|>system<|e|>\n\nBe brief.<|eot|><|h|>user<|e|>\n\nHi\nthere<|eot|><|h|>assistant<|e|>\n\nHello!<|eot|><|h|>user<|e|>\n\nBye 'now' \"x\"<|eot|><|h|>assistant<|e|>\n\n"),
        // Markers on lines of their own: line ends behind tags go, indentation too.
        ("{% for message in messages %}\n{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' }}\n{% endfor %}\n{% if add_generation_prompt %}\n<|im_start|>assistant\n{% endif %}\n",
            "<|im_start|>system\n Be brief. <|im_end|>\n<|im_start|>user\nHi\nthere<|im_end|>\n<|im_start|>assistant\nHello!<|im_end|>\n<|im_start|>user\n  Bye 'now' \"x\" <|im_end|>\n<|im_start|>assistant\n"),
        // Another name for the assistant, a name set again.
        ("{{ bos_token }}{% if messages[0]['role'] == 'system' %}{% set messages = messages[1:] %}{% endif %}{% for message in messages %}{% if (message['role'] == 'assistant') %}{% set role = 'model' %}{% else %}{% set role = message['role'] %}{% endif %}{{ '<start>' + role + '\\n' + message['content'] | trim + '<end>\\n' }}{% endfor %}{% if add_generation_prompt %}{{'<start>model\\n'}}{% endif %}",
            "<s><start>user\nHi\nthere<end>\n<start>model\nHello!<end>\n<start>user\nBye 'now' \"x\"<end>\n<start>model\n"),
        // A namespace that outlives the loop, slices backwards, methods of texts.
        ("{%- set ns = namespace(multi=true, last=messages|length - 1) %}\n{%- for message in messages[::-1] %}\n    {%- set index = (messages|length - 1) - loop.index0 %}\n    {%- if ns.multi and message.role == \"user\" and message.content is string and not(message.content.startswith('<tool>') and message.content.endswith('</tool>')) %}\n        {%- set ns.multi = false %}\n        {%- set ns.last = index %}\n    {%- endif %}\n{%- endfor %}\n{{- ns.last }}|{% for m in messages %}{% if loop.index0 > ns.last or not loop.last %}{{ m.content.split('e')[-1].lstrip('\\n') }};{% endif %}{% endfor %}{% if enable is defined and enable is false %}off{% endif %}",
            "3|f. ;;llo!;"),
        // Tools as JSON, items of maps.
        ("{% if tools is not none %}{% for t in tools %}{{ t | tojson }}\n{{ t | tojson(indent=2) }}{% endfor %}{{ tools[0].function.parameters.properties | items | list }}{% for k, v in tools[0].function.parameters.properties|items %}{{ k }}={{ v.type|upper }},{% endfor %}{% endif %}",
            "{\"type\": \"function\", \"function\": {\"name\": \"f\", \"description\": \"é \\\"q\\\"\", \"parameters\": {\"type\": \"object\", \"properties\": {\"a\": {\"type\": \"string\"}, \"b\": {\"type\": \"number\"}}, \"required\": [\"a\"]}}}\n{\n  \"type\": \"function\",\n  \"function\": {\n    \"name\": \"f\",\n    \"description\": \"é \\\"q\\\"\",\n    \"parameters\": {\n      \"type\": \"object\",\n      \"properties\": {\n        \"a\": {\n          \"type\": \"string\"\n        },\n        \"b\": {\n          \"type\": \"number\"\n        }\n      },\n      \"required\": [\n        \"a\"\n      ]\n    }\n  }\n}[('a', {'type': 'string'}), ('b', {'type': 'number'})]a=STRING,b=NUMBER,"),
        // Macros with defaults.
        ("{% macro show(x, pre='- ', post='') -%}\n  {{ pre ~ x ~ post }}\n{%- endmacro %}{% for m in messages %}{{ show(m.role) }}{{ show(m.role|title, post='!') }}{% if not loop.last %}, {% endif %}{% endfor %}",
            "- system- System!, - user- User!, - assistant- Assistant!, - user- User!"),
        // Filters with attributes and tests.
        ("{{ messages|map(attribute='role')|join(', ') }}|{{ messages|selectattr('role','equalto','user')|list|length }}|{{ messages|rejectattr('role','in',['user'])|map(attribute='content')|map('trim')|list }}|{{ (messages|first).role }}|{{ messages|last|length }}|{{ x|default('d') }}|{{ ''|default('e', true) }}",
            "system, user, assistant, user|2|['Be brief.', 'Hello!']|system|2|d|e"),
        // Arithmetic, comparisons and how values are shown.
        ("{{ [1,2.5,'a',none,true,{'k':'v'}] }} {{ 7 // 2 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 7 / 2 }} {{ 2 ** 10 }} {{ 1 ~ 2 }} {{ 'ab' * 3 }} {{ [1] + [2] }} {{ 1 < 2 < 3 }} {{ 'a' in 'cat' }} {{ 'z' not in ['a'] }} {{ none }} {{ 1 if false }} {{ 'y' if 1 else 'n' }} {{ 3 is odd }} {{ 4 is divisibleby 2 }} {{ {} is mapping }} {{ x is defined }} {{ (1, 2) }} {{ 1e20 }} {{ 10.0 }}",
            "[1, 2.5, 'a', None, True, {'k': 'v'}] 3 -4 2 3.5 1024 12 ababab [1, 2] True True True None  y True True True False (1, 2) 1e+20 10.0"),
        // Loops: filters, else, break, continue, two names.
        ("{%- for i in range(5) if i != 3 %}{{ loop.index }}/{{ loop.length }}:{{ i }}{{ ' ' if not loop.last }}{% else %}none{% endfor %}{% for x in [] %}{% else %}empty{% endfor %}{% for i in range(10) %}{% if i == 2 %}{% continue %}{% endif %}{% if i == 5 %}{% break %}{% endif %}{{ i }}{% endfor %}{% for a, b in {'p': 1, 'q': 2}.items() %}{{ a }}{{ b }}{% endfor %}",
            "1/4:0 2/4:1 3/4:2 4/4:4empty0134p1q2"),
        // Captured text, raw text, comments, plus signs.
        ("{% set x %}a{{ 1 }}b{% endset %}{{ x|upper }}{% raw %}{{ no }}{% endraw %}{# comment #}\n  {# line #}\n  x {%+ if true %} y {% endif %}\n  {%- if true -%}  z  {%- endif %}",
            "A1B{{ no }}  x  y z"),
        // Methods and slices of texts.
        ("{{ 'a-b-c'.split('-') }} {{ 'a b  c'.split() }} {{ 'abc'[1:] }} {{ 'abc'[::-1] }} {{ 'abc'[-1] }} {{ 'x,y'.split(',')[1] }} {{ 'Hello'.replace('l','L') }} {{ 'aXbX'|replace('X','.',1) }} {{ ' a '.strip() ~ '|' }} {{ 'abc'.upper().startswith('AB') }} {{ 'q'.join(['a','b']) }} {{ 'ab'.find('b') }} {{ '%s' }} {{ 'it''s' }} {{ \"q'\" }} {{ ['q\\'', \"w\\n\"] }}",
            "['a', 'b', 'c'] ['a', 'b', 'c'] bc cba c y HeLLo a.bX a| True aqb 1 %s its q' [\"q'\", 'w\\n']"),
        // Maps, sorting, indenting.
        ("{{ {'a': {'b': [1]}}.a.b[0] }} {{ {'a':1}.get('z', 5) }} {{ {'a':1}.keys()|list }} {{ [3,1,2]|sort }} {{ [3,1,2]|sort(reverse=true) }} {{ 'b'|capitalize }} {{ [1,1,2]|unique|list }} {{ [1,2,3]|sum }} {{ '3'|int + 1 }} {{ 'a\nb'|indent(2) }} {{ [[1,2],[3]]|length }} {{ [0,1]|select|list }} {{ 'abc'|reverse }} {{ 'abc'|list }} {{ 'abc'|first }}",
            "1 5 ['a'] [1, 2, 3] [3, 2, 1] B [1, 2] 6 4 a\n  b 2 [1] cba ['a', 'b', 'c'] a"),
        // Blocks on lines of their own.
        ("a\n{% if true %}\nb\n  {% if false %}\n  c\n  {% endif %}\n{% endif %}\nd\n\n",
            "a\nb\nd\n"),
    ];

    [Fact]
    public void Templates_write_what_jinja_writes() => Assert.All(Cases, c => Assert.Equal(c.Expected, ChatTemplate.Parse(c.Template).Render(Messages, true, "<s>", "</s>", Tools)));

    [Theory]
    [InlineData("a\n  {% include 'x' %}", 2, 3, "the statement 'include' is not supported")]
    [InlineData("{{ x | nope }}", 1, 6, "the filter 'nope' is not supported")]
    [InlineData("{{ 'a'.encode() }}", 1, 14, "a text has no method 'encode' that is supported")]
    [InlineData("{% if x %}", 1, 1, "this 'if' is followed by '', expected 'endif'")]
    [InlineData("{{ x.y.z }}", 1, 7, "'y' is undefined")]
    [InlineData("{{ 1 + 'a' }}", 1, 6, "'+' between a number and a text")]
    [InlineData("{{ raise_exception('no system role') }}", 1, 19, "no system role")]
    [InlineData("{{ 'abc", 1, 4, "a text that is not closed")]
    [InlineData("{{ x", 1, 1, "'{{' that is not closed")]
    [InlineData("{% for a in 3 %}{% endfor %}", 1, 1, "a number cannot be gone over")]
    [InlineData("{{ [1, 'a'] | sort }}", 1, 13, "'sort' has no order for a text among others, expected texts or numbers")]
    [InlineData("{% endif %}", 1, 1, "'endif' closes nothing")]
    [InlineData("{% set a.b = 1 %}", 1, 1, "'a' is not a namespace")]
    public void What_is_wrong_is_named_with_line_and_column(string template, int line, int column, string what)
    {
        var e = Assert.Throws<TemplateException>(() => ChatTemplate.Parse(template).Render(Messages, more: new Dictionary<string, object?> { ["x"] = new Dictionary<string, object?> { ["k"] = 1 } }));
        Assert.Equal(($"line {line}, column {column}: {what}", line, column), (e.Message, e.Line, e.Column));
    }

    [Fact]
    public void The_date_is_there_only_where_a_clock_is()
    {
        var t = ChatTemplate.Parse("{% if strftime_now is defined %}{{ strftime_now('%d %b %Y, %H:%M') }}{% else %}none{% endif %}");
        Assert.Equal("none", t.Render([]));
        Assert.Equal("05 Feb 2024, 03:09", t.Render([], time: new Clock()));
    }
    sealed class Clock : TimeProvider
    {
        public override DateTimeOffset GetUtcNow() => new(2024, 2, 5, 3, 9, 0, TimeSpan.Zero);
        public override TimeZoneInfo LocalTimeZone => TimeZoneInfo.Utc;
    }

    [Theory]
    [InlineData("{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}", "more than 2000000 steps")]
    [InlineData("{% set ns = namespace(s='aaaaaaaaaaaaaaaa') %}{% for i in range(100) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}", "makes more than")]
    [InlineData("{{ 'a' * 1000000000000 }}", "makes more than")]
    [InlineData("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "calls itself more than 32 deep")]
    [InlineData("{{ range(10000000) }}", "has more than 100000 numbers")]
    [InlineData("{{ 9 ** 99999 }}", "a number that is too large")]
    public void Hostile_templates_end(string template, string what) => Assert.Contains(what, Assert.Throws<TemplateException>(() => ChatTemplate.Parse(template).Render(Messages)).Message);

    [Theory]
    [InlineData("(", "1", ")"), InlineData("[", "1", "]"), InlineData("{'a':", "1", "}"), InlineData("not ", "1", ""), InlineData("-", "1", ""), InlineData("1+", "1", ""), InlineData("", "a", ".a"), InlineData("", "a", "|trim"), InlineData("1 if 1 else ", "1", "")]
    public void Depth_is_bounded_when_a_template_is_read(string before, string middle, string behind)
    {
        string text = string.Concat([.. Enumerable.Repeat(before, 50_000), middle, .. Enumerable.Repeat(behind, 50_000)]);
        Assert.Matches("deep|in a row", Assert.Throws<TemplateException>(() => ChatTemplate.Parse("{{ " + text + " }}")).Message);
    }

    [Fact]
    public void Blocks_are_not_nested_without_end() =>
        Assert.Contains("more than 64 deep", Assert.Throws<TemplateException>(() => ChatTemplate.Parse(string.Concat(Enumerable.Repeat("{% if 1 %}", 10_000)))).Message);
}
