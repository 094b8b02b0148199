using System.Text.Json.Nodes;
using NotebookKit.Notebooks;

namespace NotebookKit.Tool.Execution;

/// <summary>What every cell can call without a using; the names are those of .NET Interactive's C# kernel.</summary>
public sealed class NotebookGlobals
{
    internal NotebookGlobals(Func<CellOutputs> current) => Current = current;

    internal Func<CellOutputs> Current { get; }

    /// <summary>Shows a value in the running cell.</summary>
    /// <param name="value">What to show.</param>
    /// <param name="mimeType">The type to show it as; <c>null</c> takes those its formatter prefers.</param>
#pragma warning disable IDE1006 // the kernel's own name
    public DisplayedValue display(object? value, string? mimeType = null) => new(Current().Display(MimeBundle.Of(value, mimeType)));
#pragma warning restore IDE1006

    /// <summary>Marks text as HTML, so that it is shown as it is.</summary>
    public RichValue HTML(string content) => new("text/html", content);
}

/// <summary>A shown value that can be replaced.</summary>
public sealed class DisplayedValue : IDisplayHandle
{
    private readonly Action<JsonObject> _replace;

    internal DisplayedValue(Action<JsonObject> replace) => _replace = replace;

    /// <inheritdoc/>
    public void Update(object value) => _replace(MimeBundle.Of(value));
}

/// <summary><c>value.Display()</c>, as .NET Interactive has it.</summary>
public static class DisplayExtensions
{
    /// <summary>Shows a value in the running cell.</summary>
    public static IDisplayHandle Display(this object value) => NotebookHost.Display?.Display(value)
        ?? throw new InvalidOperationException("No notebook is running: there is nowhere to show the value.");
}
