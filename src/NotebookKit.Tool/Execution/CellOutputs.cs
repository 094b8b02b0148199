using System.Text;
using System.Text.Json.Nodes;
using NotebookKit.Tool.Documents;

namespace NotebookKit.Tool.Execution;

/// <summary>Collects what a cell puts out, as nbformat outputs in order; text to the same stream in a row is one output. Thread-safe.</summary>
public sealed class CellOutputs
{
    private readonly List<JsonObject> _outputs = [];
    private readonly Lock _gate = new();
    private (string Name, StringBuilder Text, JsonObject Output)? _stream;

    /// <summary>The outputs so far.</summary>
    public IReadOnlyList<JsonObject> Snapshot()
    {
        lock (_gate)
        {
            EndStream();
            return [.. _outputs];
        }
    }

    /// <summary>Adds text that was written to <c>stdout</c> or <c>stderr</c>.</summary>
    public void Write(string stream, string text)
    {
        if (text.Length == 0) return;
        lock (_gate)
        {
            if (_stream?.Name != stream)
            {
                EndStream();
                var output = new JsonObject { ["name"] = stream, ["output_type"] = "stream" };
                _outputs.Add(output);
                _stream = (stream, new StringBuilder(), output);
            }
            _stream!.Value.Text.Append(text);
        }
    }

    /// <summary>Adds a shown value; the handle replaces its content.</summary>
    public Action<JsonObject> Display(JsonObject bundle)
    {
        lock (_gate)
        {
            EndStream();
            var output = new JsonObject { ["data"] = bundle, ["metadata"] = new JsonObject(), ["output_type"] = "display_data" };
            _outputs.Add(output);
            return update => { lock (_gate) output["data"] = update; };
        }
    }

    /// <summary>Adds the value that the cell's last expression has.</summary>
    public void Return(JsonObject bundle, int executionCount) =>
        Add(new JsonObject { ["data"] = bundle, ["execution_count"] = executionCount, ["metadata"] = new JsonObject(), ["output_type"] = "execute_result" });

    /// <summary>Adds the error that ended the cell.</summary>
    public void Fail(CellError error) => Add(new JsonObject
    {
        ["ename"] = error.Name, ["evalue"] = error.Message, ["output_type"] = "error", ["traceback"] = new JsonArray([.. error.Traceback.Select(l => (JsonNode)l)]),
    });

    private void Add(JsonObject output)
    {
        lock (_gate)
        {
            EndStream();
            _outputs.Add(output);
        }
    }

    private void EndStream()
    {
        if (_stream is { } stream) stream.Output["text"] = NotebookCell.Lines(stream.Text.ToString().Replace("\r\n", "\n", StringComparison.Ordinal));
        _stream = null;
    }
}

/// <summary>Why a cell failed.</summary>
/// <param name="Name">Name of the exception, or <c>CompilationError</c>.</param>
/// <param name="Message">What it says.</param>
/// <param name="Line">Line in the cell, from 1; <c>null</c> where it is not known.</param>
/// <param name="Traceback">Lines for the notebook, without machine paths.</param>
public sealed record CellError(string Name, string Message, int? Line, IReadOnlyList<string> Traceback);
