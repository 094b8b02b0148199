using System.Globalization;
using System.Reflection;
using System.Runtime.InteropServices;
using System.Text.Json;
using System.Text.Json.Nodes;
using NotebookKit.Runtime;

namespace NotebookKit.Tracking;

/// <summary>What a run is made of: enough to run it again, and to say in what two runs differ.</summary>
/// <param name="Name">A name for people.</param>
/// <param name="Started">When it began.</param>
/// <param name="Seed">Its seed.</param>
/// <param name="Settings">Settings by name; those inside others as <c>Outer.Inner</c>.</param>
/// <param name="Versions">Versions of what ran.</param>
/// <param name="Commit">Git's commit of the folder it ran in; <c>null</c> outside a repository. Changes that were not committed are not seen.</param>
/// <param name="Hashes">SHA-256 of data and first weights.</param>
/// <param name="Machine">CPU, cores and memory.</param>
public sealed record RunRecord(string Name, DateTimeOffset Started, int Seed, IReadOnlyDictionary<string, string> Settings, IReadOnlyDictionary<string, string> Versions, string? Commit,
    IReadOnlyDictionary<string, string> Hashes, string Machine)
{
    /// <summary>The record of a run that begins now, in this process.</summary>
    /// <param name="name">A name for people.</param>
    /// <param name="settings">A settings record; its public properties are taken down.</param>
    /// <param name="seed">The seed.</param>
    /// <param name="hashes">SHA-256 of data and first weights.</param>
    public static RunRecord Now(string name, object settings, int seed, IReadOnlyDictionary<string, string> hashes) => new(name, DateTimeOffset.UtcNow, seed, Flat(settings),
        new SortedDictionary<string, string>(StringComparer.Ordinal)
        {
            ["NotebookKit"] = Version(typeof(RunRecord)), ["TorchSharp"] = Version(typeof(TorchSharp.torch)), [".NET"] = Environment.Version.ToString(), ["system"] = RuntimeInformation.OSDescription,
        }, GitCommit.Of(Environment.CurrentDirectory), hashes, Hardware.Describe());

    /// <summary>Settings as text by name.</summary>
    public static IReadOnlyDictionary<string, string> Flat(object settings)
    {
        var all = new SortedDictionary<string, string>(StringComparer.Ordinal);
        void Add(string prefix, object value)
        {
            foreach (var property in value.GetType().GetProperties(BindingFlags.Public | BindingFlags.Instance))
            {
                if (property.GetIndexParameters().Length > 0) continue;
                var one = property.GetValue(value);
                if (one is not null && one.GetType().Namespace?.StartsWith("NotebookKit", StringComparison.Ordinal) == true && !one.GetType().IsEnum)
                {
                    all[prefix + property.Name] = one.GetType().Name;
                    Add(prefix + property.Name + ".", one);
                }
                else all[prefix + property.Name] = Convert.ToString(one, CultureInfo.InvariantCulture) is { Length: > 0 } text ? text : "none";
            }
        }
        Add("", settings);
        return all;
    }

    /// <summary>The record as JSON.</summary>
    public JsonObject ToJson() => new()
    {
        ["name"] = Name, ["started"] = Started.ToString("O", CultureInfo.InvariantCulture), ["seed"] = Seed, ["commit"] = Commit, ["machine"] = Machine,
        ["settings"] = Object(Settings), ["versions"] = Object(Versions), ["hashes"] = Object(Hashes),
    };

    /// <summary>Reads what <see cref="ToJson"/> gave.</summary>
    /// <exception cref="InvalidDataException">A field is missing.</exception>
    public static RunRecord Parse(JsonNode json)
    {
        JsonNode Field(string name) => json[name] ?? throw new InvalidDataException($"A run record needs the field '{name}'.");
        Dictionary<string, string> Map(string name) => Field(name).AsObject().ToDictionary(p => p.Key, p => (string)p.Value!);
        return new RunRecord((string)Field("name")!, DateTimeOffset.Parse((string)Field("started")!, CultureInfo.InvariantCulture), (int)Field("seed"), Map("settings"), Map("versions"), (string?)json["commit"], Map("hashes"), (string)Field("machine")!);
    }

    /// <summary>All fields as rows of name and value, the time of its start aside.</summary>
    public IEnumerable<(string Name, string Value)> Fields() =>
        Settings.Select(s => (s.Key, s.Value)).Concat(Hashes.Select(h => ("hash of " + h.Key, h.Value))).Concat(Versions.Select(v => ("version of " + v.Key, v.Value))).Append(("git commit", Commit ?? "none")).Append(("machine", Machine));

    private static JsonObject Object(IReadOnlyDictionary<string, string> map) => new(map.Select(p => KeyValuePair.Create(p.Key, (JsonNode?)p.Value)));

    /// <summary>The version of the assembly that a type is in.</summary>
    internal static string Version(Type type) => type.Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion.Split('+')[0] ?? type.Assembly.GetName().Version!.ToString(3);
}
