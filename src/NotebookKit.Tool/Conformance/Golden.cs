using System.Text.Json;
using NotebookKit.Checkpoints;
using static TorchSharp.torch;

namespace NotebookKit.Tool.Conformance;

/// <summary>The golden files of a folder: <c>golden.json</c> names the cases and their settings, <c>golden.safetensors</c> holds their tensors.</summary>
internal sealed class Golden : IDisposable
{
    private readonly JsonDocument _json;
    private readonly SafetensorsFile _tensors;

    private Golden(string folder)
    {
        Folder = folder;
        _json = JsonDocument.Parse(File.ReadAllText(Path.Combine(folder, "golden.json")));
        _tensors = SafetensorsFile.Open(Path.Combine(folder, "golden.safetensors"));
    }

    public string Folder { get; }

    public JsonElement Root => _json.RootElement;

    /// <summary>The cases by name; none where the file has another layout.</summary>
    public IEnumerable<(string Name, JsonElement Settings)> Cases =>
        Root.TryGetProperty("cases", out var cases) && cases.ValueKind == JsonValueKind.Object ? cases.EnumerateObject().Select(c => (c.Name, c.Value)) : [];

    public IEnumerable<string> TensorNames => _tensors.Tensors.Keys;

    public static bool IsIn(string folder) => File.Exists(Path.Combine(folder, "golden.json")) && File.Exists(Path.Combine(folder, "golden.safetensors"));

    public static Golden Open(string folder) => new(folder);

    public bool Has(string name) => _tensors.Tensors.ContainsKey(name);

    public Tensor Read(string name) => _tensors.Read(name);

    public Tensor? ReadIf(string name) => Has(name) ? Read(name) : null;

    public void Dispose()
    {
        _tensors.Dispose();
        _json.Dispose();
    }
}
