using System.Text.Json;
using System.Text.Json.Nodes;
using NotebookKit.Models;
using NotebookKit.Models.Layers;

namespace NotebookKit.Tool.Conformance.Cases;

/// <summary>Names and shapes of the parameters of published models, laid out on the meta device without weights.</summary>
internal static class PublishedCases
{
    public static bool IsOne(JsonElement json) =>
        json.ValueKind == JsonValueKind.Object && json.TryGetProperty("config", out _) && json.TryGetProperty("shapes", out _) && json.TryGetProperty("parameters", out _);

    public static Outcome Run(string file, JsonElement json)
    {
        var name = Path.GetFileNameWithoutExtension(file);
        long count = 0;
        return Check.Run(name, () =>
        {
            var config = new ConfigJson(file, (JsonObject)JsonNode.Parse(json.GetProperty("config").GetRawText())!);
            if (json.TryGetProperty("class", out var className)) config.Json["architectures"] = new JsonArray(className.GetString());
            using var model = Architectures.Build(config, Architectures.HeadOf(config), new ModelBuilder(new DropoutMask(), onMeta: true));
            var mine = model.Parameters().ToDictionary(p => p.Name, p => p.Parameter.shape);
            var theirs = json.GetProperty("shapes").EnumerateObject().ToDictionary(p => p.Name, p => p.Value.EnumerateArray().Select(d => d.GetInt64()).ToArray());
            // A tied matrix may be listed under either of its names, or both; it counts once.
            foreach (var (tied, shape) in theirs.Where(t => !mine.ContainsKey(t.Key)).ToArray())
            {
                if (model.TiedTo(tied).FirstOrDefault(name => mine.TryGetValue(name, out var own) && own.SequenceEqual(shape)) is not { } table) return $"missing {tied}";
                theirs.Remove(tied);
                theirs[table] = shape;
            }
            if (mine.Keys.Except(theirs.Keys).FirstOrDefault() is { } extra) return $"not published: {extra}";
            if (theirs.Keys.FirstOrDefault(k => !mine[k].SequenceEqual(theirs[k])) is { } other) return $"{other} is [{string.Join(", ", mine[other])}] instead of [{string.Join(", ", theirs[other])}]";
            count = mine.Values.Sum(shape => shape.Aggregate(1L, (a, d) => a * d));
            var wanted = json.GetProperty("parameters").GetInt64();
            return count == wanted ? null : $"{count:N0} parameters instead of {wanted:N0}";
        }, "names, shapes and count of all parameters equal");
    }
}
