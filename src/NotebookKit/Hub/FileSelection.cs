using System.Text;
using System.Text.RegularExpressions;

namespace NotebookKit.Hub;

/// <summary>Chooses files of a repository.</summary>
public sealed class FileSelection
{
    private static readonly string[] ModelFiles =
    [
        "config.json", "generation_config.json", "adapter_config.json",
        "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.txt", "vocab.json", "merges.txt", "tokenizer.model", "spiece.model",
        "sentencepiece.bpe.model", "source.spm", "target.spm", "chat_template.jinja", "chat_template.json",
        "modules.json", "sentence_bert_config.json", "config_sentence_transformers.json", "[0-9]_*/config.json", "[0-9]_*/model.safetensors",
        "README.md", "LICENSE*",
    ];

    private static readonly string[] Pickles = [".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib"];

    private readonly Regex[] _patterns;

    private FileSelection(string name, IEnumerable<string> patterns) => (Name, _patterns) = (name, [.. patterns.Select(Pattern)]);

    /// <summary>What the kit reads of a model: settings, tokenizer, sentence-transformers' modules, card, and the weights as safetensors (one file, or an index with its
    /// shards). Pickled weights never.</summary>
    public static FileSelection Model { get; } = new("the model's settings, tokenizer and safetensors", ModelFiles);

    /// <summary>Every file; of a model, all that are not pickled.</summary>
    public static FileSelection All { get; } = new("all files", ["*"]);

    /// <summary>In words, for messages.</summary>
    public string Name { get; }

    /// <summary>Files whose path matches one of the patterns: <c>*</c> any characters, also <c>/</c>; <c>?</c> one; <c>[a-z]</c> one of these; a pattern that ends in
    /// <c>/</c> means the folder. The patterns of Hugging Face's client.</summary>
    public static FileSelection Globs(params IReadOnlyList<string> patterns) => patterns.Count > 0 ? new(string.Join(", ", patterns), patterns)
        : throw new ArgumentException("At least one pattern is needed, such as '*.json'.", nameof(patterns));

    /// <summary>The files chosen, in the listing's order.</summary>
    /// <exception cref="HubException">Nothing matches, or only pickled weights do; or a chosen name cannot be kept.</exception>
    public IReadOnlyList<HubFile> Of(HubRevision revision)
    {
        var weights = this == Model ? Weights(revision) : [];
        var matching = revision.Files.Where(f => weights.Contains(f.Name) || Matches(f.Name)).ToArray();
        var chosen = revision.Repository.Kind == RepositoryKind.Model ? [.. matching.Where(f => !IsPickled(f.Name))] : matching;
        if (chosen.Length == 0 && matching.Length > 0) throw OnlyPickled(revision, matching);
        if (chosen.Length == 0)
            throw new HubException(HubFailure.FileNotFound, $"{revision.Repository} at {revision.Commit} has no file for {Name}. It has {Some(revision.Files.Select(f => f.Name))}.");
        foreach (var file in chosen)
            if (SafeNames.ProblemOfFile(file.Name) is { } problem)
                throw new HubException(HubFailure.UnsafeName, $"{revision.Repository} has a file '{Printable(file.Name)}' that cannot be kept: {problem}. Choose other files with patterns.");
        return chosen;
    }

    /// <summary>What a snapshot lacks to be a model that can be opened: <c>config.json</c>, weights, or shards of its index.</summary>
    internal static IReadOnlyList<string> MissingFromModel(string snapshot)
    {
        var missing = new List<string>();
        if (!File.Exists(Path.Combine(snapshot, "config.json")) && !File.Exists(Path.Combine(snapshot, "adapter_config.json"))) missing.Add("config.json");
        var index = Path.Combine(snapshot, "model.safetensors.index.json");
        if (File.Exists(Path.Combine(snapshot, "model.safetensors"))) return missing;
        if (!File.Exists(index))
        {
            if (!Directory.Exists(snapshot) || !Directory.EnumerateFiles(snapshot, "*.safetensors").Any(File.Exists)) missing.Add("model.safetensors");
            return missing;
        }
        try
        {
            using var json = System.Text.Json.JsonDocument.Parse(File.ReadAllBytes(index));
            var shards = json.RootElement.GetProperty("weight_map").EnumerateObject().Select(p => p.Value.GetString()!).Distinct();
            missing.AddRange(shards.Where(s => SafeNames.ProblemOfFile(s) is null && !File.Exists(Path.Combine(snapshot, s))));
        }
        catch (Exception e) when (e is System.Text.Json.JsonException or KeyNotFoundException or InvalidOperationException) { missing.Add("model.safetensors.index.json"); }
        return missing;
    }

    internal bool Matches(string name) => _patterns.Any(p => p.IsMatch(name));

    internal static string Printable(string name) => string.Concat(name.Take(120).Select(c => char.IsControl(c) ? $"\\u{(int)c:x4}" : c.ToString()));

    private static HashSet<string> Weights(HubRevision revision)
    {
        var root = revision.Files.Select(f => f.Name).Where(n => n.EndsWith(".safetensors", StringComparison.Ordinal) && !n.Contains('/', StringComparison.Ordinal)).ToArray();
        if (root.Contains("model.safetensors")) return ["model.safetensors"];
        if (revision.Files.Any(f => f.Name == "model.safetensors.index.json"))
            return ["model.safetensors.index.json", .. root.Where(n => Regex.IsMatch(n, @"\Amodel-[0-9]+-of-[0-9]+\.safetensors\z"))];
        if (root.Length == 0 && revision.Files.Where(f => IsPickled(f.Name)).ToArray() is { Length: > 0 } pickled) throw OnlyPickled(revision, pickled);
        return [.. root];
    }

    private static bool IsPickled(string name) => Pickles.Contains(Path.GetExtension(name).ToLowerInvariant());

    private static HubException OnlyPickled(HubRevision revision, IReadOnlyList<HubFile> pickled) => new(HubFailure.Pickled,
        $"{revision.Repository} has its weights only pickled ({Some(pickled.Select(f => f.Name))}); such a file can run any code when it is opened, so the kit never reads one. "
        + $"Do one thing: look for a revision with safetensors (the page's Community tab often has one, then --revision refs/pr/N), or convert it in Python on a machine where you trust the file: "
        + $"AutoModel.from_pretrained(\"{revision.Repository.Id}\").save_pretrained(\"folder\"), and open that folder.");

    private static string Some(IEnumerable<string> names)
    {
        var all = names.Select(Printable).ToArray();
        return all.Length == 0 ? "no files" : string.Join(", ", all.Take(8)) + (all.Length > 8 ? $" and {all.Length - 8} more" : "");
    }

    private static Regex Pattern(string glob)
    {
        if (glob.EndsWith('/')) glob += "*";
        var text = new StringBuilder(@"\A");
        for (var i = 0; i < glob.Length; i++)
        {
            var close = glob[i] == '[' ? glob.IndexOf(']', Math.Min(i + 2, glob.Length - 1)) : -1;
            if (close > i + 1)
            {
                var inside = glob[(i + 1)..close];
                text.Append('[').Append(inside[0] == '!' ? "^" : "").Append((inside[0] == '!' ? inside[1..] : inside).Replace(@"\", @"\\").Replace("[", @"\[").Replace("^", @"\^")).Append(']');
                i = close;
            }
            else text.Append(glob[i] switch { '*' => ".*", '?' => ".", var c => Regex.Escape(c.ToString()) });
        }
        try { return new Regex(text.Append(@"\z").ToString(), RegexOptions.Singleline | RegexOptions.NonBacktracking | RegexOptions.CultureInvariant); }
        catch (ArgumentException e) { throw new ArgumentException($"'{glob}' is not a pattern for file names ({e.Message})", nameof(glob)); }
    }
}
