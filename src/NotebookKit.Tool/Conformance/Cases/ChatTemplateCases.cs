using System.Globalization;
using System.Text.Json.Nodes;
using NotebookKit.Chat;

namespace NotebookKit.Tool.Conformance.Cases;

/// <summary>Chat templates against texts, spans and errors of the reference: a folder with templates and goldens.jsonl, a case a line.</summary>
internal static class ChatTemplateCases
{
    public static bool AreIn(string folder) => File.Exists(Path.Combine(folder, "goldens.jsonl"));

    public static IEnumerable<Outcome> Run(string folder)
    {
        var line = 0;
        foreach (var text in File.ReadAllText(Path.Combine(folder, "goldens.jsonl")).Split('\n'))
        {
            line++;
            if (text.Length == 0) continue;
            var json = (JsonObject)JsonNode.Parse(text)!;
            var family = json["family"]!.GetValue<string>();
            var template = Path.Combine(folder, family + ".jinja");
            if (File.Exists(template)) yield return Check.Run($"{family} {line}", () => One(File.ReadAllText(template), json), "text equal");
            else yield return new Outcome($"{family} {line}", Verdict.Skipped, "no template of this name");
        }
    }

    private static string? One(string template, JsonObject json)
    {
        IReadOnlyList<JsonNode>? Nodes(string name) => json[name] is JsonArray list ? [.. list.Select(n => n!)] : null;
        var (error, kind) = (json["error"]?.GetValue<string>(), json["error_type"]?.GetValue<string>());
        RenderedChat got;
        try
        {
            got = ChatTemplate.Parse(template).Render([.. json["messages"]!.AsArray().Select(m => ChatMessage.FromJson((JsonObject)m!))], json["add_generation_prompt"]?.GetValue<bool>() ?? false,
                Nodes("tools"), Nodes("documents"), json["kwargs"] is JsonObject kwargs ? kwargs.ToDictionary(k => k.Key, k => k.Value) : null, json["now"] is { } now ? new Still(now.GetValue<string>()) : null);
        }
        catch (ChatTemplateException e) when (error is not null)
        {
            return e.Reason != error ? $"the error '{e.Reason}', the reference says '{error}'" : e.Kind != kind ? $"the error is a {e.Kind}, the reference's a {kind}" : null;
        }
        if (error is not null) return $"no error, the reference says '{error}'";
        var wanted = json["rendered"]!.GetValue<string>();
        if (got.Text != wanted)
        {
            var at = got.Text.Zip(wanted).TakeWhile(p => p.First == p.Second).Count();
            string From(string s) => JsonValue.Create(s[Math.Max(0, at - 10)..Math.Min(s.Length, at + 40)]).ToJsonString();
            return $"differs at {at}: {From(got.Text)}, the reference has {From(wanted)}";
        }
        var spans = json["generation_spans"] is JsonArray list ? list.Select(s => (s![0]!.GetValue<int>(), s[1]!.GetValue<int>())).ToArray() : null;
        return spans is not null && !spans.SequenceEqual(got.AssistantSpans) ? $"spans {string.Join(" ", got.AssistantSpans)}, the reference has {string.Join(" ", spans)}" : null;
    }

    private sealed class Still(string now) : TimeProvider
    {
        public override DateTimeOffset GetUtcNow() => new(DateTime.Parse(now, CultureInfo.InvariantCulture), TimeSpan.Zero);

        public override TimeZoneInfo LocalTimeZone => TimeZoneInfo.Utc;
    }
}
