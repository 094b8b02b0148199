using System.Text.Json.Nodes;
using NotebookKit.Chat;

namespace NotebookKit.Tests.Chat;

/// <summary>Expected values: Jinja2 3.1.6 in the sandbox that transformers uses, with trim_blocks and lstrip_blocks; each was computed by it. (The published families: nbkit conform.)</summary>
public sealed class ChatTemplateTests
{
    private static readonly ChatMessage[] Messages = [new("user", "Hi <b>"), new("assistant", "Ho"), new("user", "é😀")];

    [Theory]
    [InlineData("{{ -7 // 2, -7 % 3, 7 // -2, 7 % -3, 7.5 // 2, 2 ** 3 ** 2, -2 ** 2, 10 / 5 }}", "(-4, 2, -4, -2, 3.0, 64, 4, 2.0)")]
    [InlineData("{{ 1e16, 1e22, 0.0001, 1e-5, 0.1 + 0.2, 1.10, 1e5 }}", "(1e+16, 1e+22, 0.0001, 1e-05, 0.30000000000000004, 1.1, 100000.0)")]
    [InlineData("{{ [1, 2.0, 'a', none, true, {'k': (1,)}, ()] }}", "[1, 2.0, 'a', None, True, {'k': (1,)}, ()]")]
    [InlineData("{{ [\"it's\", 'q\"q', 'tab\\t', 'é'] }}", "[\"it's\", 'q\"q', 'tab\\t', 'é']")]
    [InlineData("{{ 'abcdef'[4:1:-1] }} {{ 'héllo😀x'[5] }} {{ 'é😀'|length }} {{ 'abc'[::-1] }}", "edc 😀 2 cba")]
    [InlineData("{{ 1 < 3 < 2 }} {{ true == 1 }} {{ 'a' in {'a': 1} }} {{ not 1 == 2 }} {{ '' or 'z' }}", "False True True True z")]
    [InlineData("{{ 2.5|round }} {{ 3.5|round }} {{ 2.675|round(2) }} {{ 42|round }}", "2.0 4.0 2.67 42")]
    [InlineData("{{ '%s %d %5.2f|%-5s|%05d' % ('a', 3, 2.5, 'b', 42) }}", "a 3  2.50|b    |00042")]
    [InlineData("{{ {'b': 1, 'a': [true, none]}|tojson }} {{ [1, [2]]|tojson(indent=1) }}", "{\"b\": 1, \"a\": [true, null]} [\n 1,\n [\n  2\n ]\n]")]
    [InlineData("{{ ' a  b '.split() }} {{ 'a,b,c'.split(',', 1) }} {{ 'a.b.c'.rsplit('.', 1) }}", "['a', 'b'] ['a', 'b,c'] ['a.b', 'c']")]
    [InlineData("{{ messages|groupby('role')|map(attribute='grouper')|list }}", "['assistant', 'user']")]
    [InlineData("{{ missing }}[{{ missing|default('d') }}]{{ missing is defined }}{% for x in missing %}x{% else %}none{% endfor %}", "[d]Falsenone")]
    [InlineData("a\n  {% if true %}\nb\n  {% endif %}\nc", "a\nb\nc")]
    [InlineData("a\n  {%- if true -%}\nb\n  {%- endif %}\nc", "abc")]
    [InlineData("x {%+ if true %} y {%+ endif %}", "x  y ")]
    [InlineData("a {# c #}\nb\r\nc\n", "a b\nc")]
    [InlineData("{% set x = 1 %}{% for i in [1, 2] %}{% set x = x + i %}{{ x }} {% endfor %}{{ x }}", "2 3 1")]
    [InlineData("{% set ns = namespace(x=0) %}{% for i in [1, 2] %}{% set ns.x = ns.x + i %}{% endfor %}{{ ns.x }}", "3")]
    [InlineData("{% macro m(a, b=2) %}{{ a }}{{ b }}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1) }} {{ m(1, 2, 3, z=5) }}", "12(){} 12(3,){'z': 5}")]
    [InlineData("{% macro m() %}[{{ caller('x') }}]{% endmacro %}{% call(v) m() %}{{ v }}!{% endcall %}", "[x!]")]
    [InlineData("{% for i in [[1, [2]], [3]] recursive %}{% if i is iterable %}({{ loop(i) }}){% else %}{{ i }}@{{ loop.depth }}{% endif %}{% endfor %}", "(1@2(2@3))(3@2)")]
    [InlineData("{% for i in range(5) %}{% if i == 3 %}{% break %}{% endif %}{% if i == 1 %}{% continue %}{% endif %}{{ i }}{% endfor %}", "02")]
    [InlineData("{% filter upper | replace('A', '4') %}abc{% endfilter %}{% set x | upper %}hi{% endset %}{{ x }}{% raw %}{{ y }}{% endraw %}", "4BCHI{{ y }}")]
    [InlineData("{{ 'x'.__class__ }}|{{ strftime_now('%d %b %Y %j') }}", "|04 Mar 2025 063")]
    public void Language(string template, string expected) => Assert.Equal(expected, ChatTemplate.Parse(template).Render(Messages, clock: new Still()).Text);

    [Theory]
    [InlineData("{{ nothing.foo }}", "UndefinedError", "'nothing' is undefined")]
    [InlineData("{{ messages[0].nothing.foo }}", "UndefinedError", "'dict object' has no attribute 'nothing'")]
    [InlineData("{{ messages[99].role }}", "UndefinedError", "list object has no element 99")]
    [InlineData("{{ none.foo.bar }}", "UndefinedError", "'None' has no attribute 'foo'")]
    [InlineData("{{ 'x' + 1 }}", "TypeError", "can only concatenate str (not \"int\") to str")]
    [InlineData("{{ 1 + 'x' }}", "TypeError", "unsupported operand type(s) for +: 'int' and 'str'")]
    [InlineData("{{ 'a' in none }}", "TypeError", "argument of type 'NoneType' is not iterable")]
    [InlineData("{{ [].append(1) }}", "SecurityError", "access to attribute 'append' of 'list' object is unsafe.")]
    [InlineData("{{ ''.__class__.__mro__ }}", "SecurityError", "access to attribute '__class__' of 'str' object is unsafe.")]
    [InlineData("{{ raise_exception('no system role') }}", "TemplateError", "no system role")]
    [InlineData("{{ 1 // 0 }}", "ZeroDivisionError", "integer division or modulo by zero")]
    [InlineData("{% set a, b = [1] %}", "ValueError", "not enough values to unpack (expected 2, got 1)")]
    [InlineData("{{ 'a'|nofilter }}", "TemplateAssertionError", "No filter named 'nofilter'.")]
    [InlineData("{% for x in y %}", "TemplateSyntaxError", "Unexpected end of template. Jinja was looking for the following tags: 'endfor' or 'else'. The innermost block that needs to be closed is 'for'.")]
    [InlineData("a\nb {% bogus %}", "TemplateSyntaxError", "Encountered unknown tag 'bogus'.")]
    public void Errors_are_the_reference_s(string template, string kind, string reason)
    {
        var error = Assert.Throws<ChatTemplateException>(() => ChatTemplate.Parse(template).Render(Messages));
        Assert.Equal((kind, reason), (error.Kind, error.Reason));
        Assert.Contains($"line {template.Count(c => c == '\n') + 1}", error.Message);
    }

    /// <summary>What a hostile template can do: it ends, and it reads nothing but its variables.</summary>
    [Theory]
    [InlineData("{% for a in range(99999) %}{% for b in range(99999) %}{% for c in range(99999) %}{% endfor %}{% endfor %}{% endfor %}")]
    [InlineData("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}")]
    [InlineData("{{ 'x' * 999999999 }}")]
    [InlineData("{% set ns = namespace(t='xxxxxxxxxx') %}{% for i in range(40) %}{% set ns.t = ns.t + ns.t %}{% endfor %}")]
    [InlineData("{{ 10 ** 9999999 }}")]
    [InlineData("{{ range(10000000) }}")]
    [InlineData("{% include '/etc/passwd' %}")]
    public void Hostile_templates_end(string template)
    {
        var clock = System.Diagnostics.Stopwatch.StartNew();
        Assert.Throws<ChatTemplateException>(() => ChatTemplate.Parse(template).Render(Messages));
        Assert.Throws<ChatTemplateException>(() => ChatTemplate.Parse(string.Concat(Enumerable.Repeat("{{ (", 1)) + string.Concat(Enumerable.Repeat("(", 5000)) + "1"));
        Assert.True(clock.Elapsed < TimeSpan.FromSeconds(20), $"{clock.Elapsed}");
    }

    [Fact]
    public void Training_and_inference_agree_and_what_the_assistant_wrote_is_marked()
    {
        var template = ChatTemplate.Parse("{% for m in messages %}<{{ m.role }}>{% if m.role == 'assistant' %}{% generation %}{{ m.content }}</s>{% endgeneration %}{% else %}{{ m.content }}{% endif %}{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}");
        Assert.True(template.MarksAssistant);
        var training = template.Render([.. Messages, new("assistant", "ok 👍")]);
        var inference = template.Render(Messages, addGenerationPrompt: true);
        Assert.StartsWith(inference.Text, training.Text);
        var runes = training.Text.EnumerateRunes().Select(r => r.ToString()).ToArray();
        Assert.Equal(["Ho</s>", "ok 👍</s>"], training.AssistantSpans.Select(s => string.Concat(runes[s.Start..s.End])));
        Assert.False(ChatTemplate.Parse("{{ messages[0].content }}").MarksAssistant);
    }

    [Fact]
    public void Fields_tools_and_reasoning_reach_the_template()
    {
        var message = ChatMessage.FromJson((JsonObject)JsonNode.Parse("""{"role":"assistant","content":null,"thinking":"hm","tool_calls":[{"function":{"name":"f","arguments":{"x":1.0}}}],"own":7}""")!);
        var template = ChatTemplate.Parse("{{ messages[0].reasoning_content }} {{ messages[0].tool_calls[0].function.arguments|tojson }} {{ messages[0].own + 1 }} {{ tools|length }} {{ enable_thinking }} {{ messages[0].content }}");
        Assert.Equal("hm {\"x\": 1.0} 8 1 False None", template.Render([message], tools: [new JsonObject { ["name"] = "f" }], variables: new Dictionary<string, JsonNode?> { ["enable_thinking"] = false }).Text);
        Assert.Equal("hm", ChatTemplate.Parse("{{ messages[0].thinking }}").Render([new ChatMessage("assistant", "x") { Reasoning = "hm" }]).Text);
        Assert.Contains("role", Assert.Throws<ArgumentException>(() => ChatMessage.FromJson([])).Message);
    }

    [Fact]
    public void A_folder_s_template_is_found_in_either_place()
    {
        using var folder = TestData.NewFolder();
        Assert.Contains("no chat template", Assert.Throws<FileNotFoundException>(() => ChatTemplate.Load(folder.Path)).Message);
        File.WriteAllText(folder["tokenizer_config.json"], """{"bos_token":{"content":"<s>"},"eos_token":"</s>","chat_template":[{"name":"default","template":"{{ bos_token }}d"},{"name":"tool_use","template":"t{{ eos_token }}"}]}""");
        Assert.Equal("<s>d", ChatTemplate.Load(folder.Path).Render(Messages).Text);
        Assert.Equal("t</s>", ChatTemplate.Load(folder.Path, "tool_use").Render(Messages).Text);
        Assert.Contains("tool_use", Assert.Throws<FileNotFoundException>(() => ChatTemplate.Load(folder.Path, "rag")).Message);
        File.WriteAllText(folder["chat_template.jinja"], "file {{ eos_token }}");
        Assert.Equal("file </s>", ChatTemplate.Load(folder.Path).Render(Messages).Text);
    }

    private sealed class Still : TimeProvider
    {
        public override DateTimeOffset GetUtcNow() => new(2025, 3, 4, 9, 6, 53, TimeSpan.Zero);

        public override TimeZoneInfo LocalTimeZone => TimeZoneInfo.Utc;
    }
}
