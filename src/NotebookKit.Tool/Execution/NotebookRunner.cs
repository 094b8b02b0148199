using System.Diagnostics;
using System.Text;
using System.Text.Json.Nodes;
using Microsoft.CodeAnalysis.Scripting;
using NotebookKit.Notebooks;
using NotebookKit.Tool.Documents;

namespace NotebookKit.Tool.Execution;

/// <summary>What a run tells whoever watches it.</summary>
public interface IRunObserver
{
    /// <summary>A code cell begins. Cells are counted from 1 over the whole notebook.</summary>
    void CellStarted(int number, int count, NotebookCell cell);

    /// <summary>Something live was shown or changed, as plain text.</summary>
    void Live(string text);

    /// <summary>A code cell ended.</summary>
    void CellFinished(int number, TimeSpan took, CellError? error);
}

/// <summary>How a notebook run ended.</summary>
/// <param name="Error">The error that stopped it, or <c>null</c>.</param>
/// <param name="CellNumber">The failing cell, from 1 over all cells; 0 without an error.</param>
/// <param name="Took">Time of the whole run.</param>
public sealed record RunResult(CellError? Error, int CellNumber, TimeSpan Took);

/// <summary>Executes the code cells of a notebook in order and puts their outputs into it.</summary>
/// <param name="observer">Is told what happens.</param>
/// <param name="cellTimeout">Longest a cell may take; <c>null</c> is for ever.</param>
public sealed class NotebookRunner(IRunObserver observer, TimeSpan? cellTimeout = null)
{
    /// <summary>Runs a notebook. Stops at the first error; outputs made so far are in the document.</summary>
    /// <param name="notebook">What is run; its outputs are replaced.</param>
    /// <param name="folder">Working directory and start of relative paths: the notebook's own folder.</param>
    /// <param name="parameters">Values for the cell tagged <c>parameters</c>, as C# expressions by name.</param>
    /// <param name="cancellation">Stops the run.</param>
    /// <exception cref="InvalidDataException">Parameters are given for a notebook that has no such cell, or has not those names.</exception>
    public async Task<RunResult> RunAsync(NotebookDocument notebook, string folder, IReadOnlyDictionary<string, string>? parameters = null, CancellationToken cancellation = default)
    {
        var clock = Stopwatch.StartNew();
        foreach (var cell in notebook.Cells) if (cell.Kind == CellKind.Code) cell.SetOutputs(null, []);
        var outputs = new CellOutputs();
        var globals = new NotebookGlobals(() => outputs);
        var session = new CSharpSession(folder, globals, new NuGetReferences());
        var (oldOut, oldError, oldFolder, oldDisplay) = (Console.Out, Console.Error, Directory.GetCurrentDirectory(), NotebookHost.Display);
        Directory.SetCurrentDirectory(folder);
        NotebookHost.Display = new HostDisplay(globals, observer);
        Console.SetOut(new StreamCapture(text => outputs.Write("stdout", text)));
        Console.SetError(new StreamCapture(text => outputs.Write("stderr", text)));
        try
        {
            var executed = 0;
            for (var i = 0; i < notebook.Cells.Count; i++)
            {
                var cell = notebook.Cells[i];
                if (cell.Kind != CellKind.Code || cell.Language is not "csharp" || string.IsNullOrWhiteSpace(cell.Source)) continue;
                observer.CellStarted(i + 1, notebook.Cells.Count, cell);
                var cellClock = Stopwatch.StartNew();
                outputs = new CellOutputs();
                executed++;
                var error = await RunCellAsync(session, WithParameters(cell, parameters), i + 1, executed, outputs, cancellation);
                if (error is not null) outputs.Fail(error);
                cell.SetOutputs(executed, outputs.Snapshot());
                observer.CellFinished(i + 1, cellClock.Elapsed, error);
                if (error is not null) return new RunResult(error, i + 1, clock.Elapsed);
            }
            return new RunResult(null, 0, clock.Elapsed);
        }
        finally
        {
            Console.SetOut(oldOut);
            Console.SetError(oldError);
            NotebookHost.Display = oldDisplay;
            Directory.SetCurrentDirectory(oldFolder);
        }
    }

    private async Task<CellError?> RunCellAsync(CSharpSession session, string code, int number, int executed, CellOutputs outputs, CancellationToken cancellation)
    {
        try
        {
            var run = Task.Run(() => session.RunAsync(code, $"cell {number}", cancellation), cancellation);
            if (cellTimeout is { } limit && await Task.WhenAny(run, Task.Delay(limit, cancellation)) != run)
                return new CellError("Timeout", $"The cell took longer than {limit.TotalSeconds:N0} seconds.", null, []);
            if (await run is { } value) outputs.Return(MimeBundle.Of(value), executed);
            return null;
        }
        catch (Exception e)
        {
            return CellErrors.Describe(e, number);
        }
    }

    /// <summary>The code of a cell, with given values put over those it assigns where it is the parameters cell.</summary>
    private static string WithParameters(NotebookCell cell, IReadOnlyDictionary<string, string>? parameters)
    {
        if (parameters is not { Count: > 0 } || !cell.Tags.Contains("parameters")) return cell.Source;
        return cell.Source + "\n" + string.Join('\n', parameters.Select(p => $"{p.Key} = {p.Value};"));
    }

    private sealed class HostDisplay(NotebookGlobals globals, IRunObserver observer) : INotebookDisplay
    {
        public IDisplayHandle Display(object value)
        {
            Tell(value);
            var handle = globals.display(value);
            return new Handle(handle, this);
        }

        private void Tell(object value) => observer.Live(NodeText(MimeBundle.Of(value, "text/plain")["text/plain"]));

        private static string NodeText(JsonNode? node) => NotebookCell.Join(node);

        private sealed class Handle(DisplayedValue inner, HostDisplay host) : IDisplayHandle
        {
            public void Update(object value)
            {
                host.Tell(value);
                inner.Update(value);
            }
        }
    }

    private sealed class StreamCapture(Action<string> write) : TextWriter
    {
        public override Encoding Encoding => Encoding.UTF8;

        public override void Write(char value) => write(value.ToString());

        public override void Write(string? value) => write(value ?? "");

        public override void Write(char[] buffer, int index, int count) => write(new string(buffer, index, count));

        public override void WriteLine(string? value) => write(value + "\n");

        public override void WriteLine() => write("\n");
    }
}
