using System.Diagnostics;
using NotebookKit.Tool.Documents;
using NotebookKit.Tool.Execution;

namespace NotebookKit.Tool.Commands;

/// <summary>Tells a terminal, or a log, what a run does: a line per cell and live progress at most once a second (in a log, once in ten).</summary>
internal sealed class TerminalObserver : IRunObserver
{
    private readonly TextWriter _out = Console.Out;
    private readonly bool _interactive = !Console.IsOutputRedirected;
    private readonly Stopwatch _sinceLive = Stopwatch.StartNew();
    private readonly Lock _gate = new();
    private bool _liveLine;

    public void CellStarted(int number, int count, NotebookCell cell)
    {
        var first = cell.Source.Split('\n').Select(l => l.Trim()).FirstOrDefault(l => l.Length > 0 && !l.StartsWith("#r", StringComparison.Ordinal)) ?? "";
        Line($"  cell {number,2} of {count}  {Shorten(first, 84)}");
    }

    public void Live(string text)
    {
        lock (_gate)
        {
            if (_sinceLive.Elapsed < TimeSpan.FromSeconds(_interactive ? 1 : 10)) return;
            _sinceLive.Restart();
            var line = Shorten(text.ReplaceLineEndings(" "), 110);
            if (_interactive) { _out.Write($"\r\u001b[2K      {line}"); _liveLine = true; }
            else _out.WriteLine($"      {line}");
            _out.Flush();
        }
    }

    public void CellFinished(int number, TimeSpan took, CellError? error)
    {
        if (error is not null) Line($"  cell {number,2} FAILED{(error.Line is { } line ? $" at line {line}" : "")}: {error.Name}: {error.Message}");
        else if (took.TotalSeconds >= 2) Line($"           {took.TotalSeconds:F0} s");
    }

    /// <summary>Writes a line of its own.</summary>
    public void Line(string text)
    {
        lock (_gate)
        {
            if (_liveLine) _out.Write("\r\u001b[2K");
            _liveLine = false;
            _out.WriteLine(text);
            _out.Flush();
        }
    }

    private static string Shorten(string text, int length) => text.Length <= length ? text : text[..(length - 1)] + "…";
}
